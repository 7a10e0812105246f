/* Raw C, roles with answers: an echo server by recvfrom/sendto (mode=plain), by recvmmsg/sendmmsg
 * (mode=mmsg) or with UDP_SEGMENT as well (mode=gso), a pinger, and idle sockets under epoll. */
#include "child.h"
#include "socket.h"
#include <sys/epoll.h>

enum { BATCH = 64, MAX_PLAIN = 2048 };

static int fd;

static void *echo_plain(void *unused) {
    (void)unused;
    char buf[MAX_PLAIN];
    for (;;) {
        addr4 from;
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);
        if (n >= 0)
            sendto(fd, buf, n, 0, (struct sockaddr *)&from, len);
    }
    return NULL;
}

/* Join neighbours into segmented messages. The iovecs of neighbours are neighbours too. */
static int join(struct mmsghdr *m, int n, char (*control)[CMSG_SPACE(sizeof(uint16_t))]) {
    int to = -1;
    for (int i = 0; i < n; i++) {
        struct msghdr *h = &m[i].msg_hdr, *last = to < 0 ? NULL : &m[to].msg_hdr;
        if (!last || h->msg_iov->iov_len != last->msg_iov->iov_len ||
            memcmp(h->msg_name, last->msg_name, sizeof(addr4))) {
            m[++to] = m[i];
            continue;
        }
        uint16_t size = h->msg_iov->iov_len;
        struct cmsghdr *c = (struct cmsghdr *)control[to];
        *c = (struct cmsghdr){.cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT,
                              .cmsg_len = CMSG_LEN(sizeof size)};
        memcpy(CMSG_DATA(c), &size, sizeof size);
        last->msg_control = c;
        last->msg_controllen = sizeof *control;
        last->msg_iovlen++;
    }
    return to + 1;
}

/* A message for each datagram (mode=mmsg), or one for neighbours of one client and one length
 * (mode=gso). */
static void *echo_batches(void *unused) {
    (void)unused;
    static char mem[BATCH][MAX_PLAIN];
    static char control[BATCH][CMSG_SPACE(sizeof(uint16_t))] __attribute__((aligned(8)));
    struct mmsghdr m[BATCH];
    struct iovec iov[BATCH];
    addr4 from[BATCH];
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){mem[i], MAX_PLAIN};
            m[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i],
                                           .msg_iov = &iov[i], .msg_iovlen = 1};
        }
        int n = recvmmsg(fd, m, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < n; i++)
            iov[i].iov_len = m[i].msg_len;
        if (is_mode("gso"))
            n = join(m, n, control);
        for (int sent = 0; sent < n;) {
            int k = sendmmsg(fd, m + sent, n - sent, 0);
            sent += k > 0 ? k : 1; /* skip a datagram that the kernel refuses */
        }
    }
    return NULL;
}

static void *ping(void *unused) {
    (void)unused;
    addr4 to = dest_addr();
    char *out = calloc(1, args.size), in[MAX_PLAIN];
    sink s = {0};
    for (uint64_t seq = 1, back; !counts.stop; seq++) {
        memcpy(out, &seq, sizeof seq);
        uint64_t begin = now_ns();
        if (sendto(fd, out, args.size, 0, (struct sockaddr *)&to, sizeof to) < 0)
            die("sendto");
        ssize_t n;
        do {
            n = recv(fd, in, sizeof in, 0);
            memcpy(&back, in, sizeof back);
        } while (n >= 0 && back != seq);
        if (n < 0)
            die("recv");
        hist_add(now_ns() - begin);
        sink_add(&s, in, n);
        sink_publish(&s);
    }
    sending = 0;
    return NULL;
}

static int open_socket(addr4 a, int flags) {
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0);
    if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof a))
        die("bind");
    grow(s);
    return s;
}

static void idle(void) {
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};
    long rss = resident(), slab = slab_bytes();
    for (int i = 0; i < args.count; i++) {
        int s = open_socket(bind_addr(), SOCK_NONBLOCK);
        if (epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev))
            die("epoll_ctl");
    }
    control_idle(resident() - rss, slab_bytes() - slab);
}

int main(int argc, char **argv) {
    parse(argc, argv);
    if (is_role("idle"))
        idle();
    fd = open_socket(is_role("ping") ? ipv4("0.0.0.0", 0) : bind_addr(), 0);
    if (is_role("ping")) {
        sending = 1;
        spawn(ping, NULL);
    } else {
        spawn(is_mode("plain") ? echo_plain : echo_batches, NULL);
    }
    control_at(local_addr(fd));
}
