/* Raw C, flow roles: sendto/recvfrom (mode=plain), sendmmsg/recvmmsg of 64 (mode=mmsg), and
 * the same with UDP_SEGMENT and UDP_GRO (mode=gso), which is the kernel's limit. */
#include "child.h"
#include "socket.h"
#include <sys/epoll.h>

enum { BATCH = 64, JUMBO = 65536, MAX_PLAIN = 9216 };

static int *receivers; /* descriptors */
static addr4 *dests;
static int ndests;

static int open_socket(addr4 a) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a))
        die("bind");
    grow(fd);
    return fd;
}

/* ---- receiving ----------------------------------------------------------------------------- */

static void *recv_plain(void *unused) {
    (void)unused;
    char buf[MAX_PLAIN];
    sink s = {0};
    for (;;) {
        addr4 from;
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(receivers[0], buf, sizeof buf, 0, (struct sockaddr *)&from, &len);
        if (n < 0)
            die("recvfrom");
        sink_add(&s, buf, n);
        sink_publish(&s);
    }
    return NULL;
}

/* The segment size of a coalesced message, or its whole length. */
static int segment_size(struct msghdr *m, int len) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            return size;
        }
    return len;
}

/* What recvmmsg receives into. */
static struct {
    int n, size, gro;
    struct mmsghdr m[BATCH];
    struct iovec iov[BATCH];
    addr4 from[BATCH];
    char control[BATCH][CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
    char *mem;
} in;

static void open_batch(void) {
    in.gro = is_mode("gso");
    in.n = in.gro ? 8 : BATCH;
    in.size = in.gro ? JUMBO : read_size();
    in.mem = malloc((size_t)in.n * in.size);
    for (int i = 0; in.gro && i < args.receivers; i++)
        if (setsockopt(receivers[i], SOL_UDP, UDP_GRO, &in.gro, sizeof in.gro))
            die("UDP_GRO");
}

static void recv_batch(int fd, sink *s, int flags) {
    for (int i = 0; i < in.n; i++) {
        in.iov[i] = (struct iovec){in.mem + (size_t)i * in.size, in.size};
        in.m[i].msg_hdr = (struct msghdr){.msg_name = &in.from[i], .msg_namelen = sizeof in.from[i],
                                          .msg_iov = &in.iov[i], .msg_iovlen = 1};
        if (in.gro) {
            in.m[i].msg_hdr.msg_control = in.control[i];
            in.m[i].msg_hdr.msg_controllen = sizeof in.control[i];
        }
    }
    int k = recvmmsg(fd, in.m, in.n, flags, NULL);
    if (k < 0 && errno != EAGAIN)
        die("recvmmsg");
    for (int i = 0; i < k; i++) {
        char *p = in.iov[i].iov_base;
        int len = in.m[i].msg_len, seg = in.gro ? segment_size(&in.m[i].msg_hdr, len) : len;
        do {
            sink_add(s, p, len < seg ? len : seg);
            p += seg;
            len -= seg;
        } while (len > 0);
    }
    sink_publish(s);
}

static void *recv_batches(void *unused) {
    (void)unused;
    sink s = {0};
    open_batch();
    for (;;)
        recv_batch(receivers[0], &s, MSG_WAITFORONE);
    return NULL;
}

static void *recv_many(void *unused) {
    (void)unused;
    sink s = {0};
    open_batch();
    int ep = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < args.receivers; i++) {
        struct epoll_event ev = {.events = EPOLLIN, .data.fd = receivers[i]};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, receivers[i], &ev))
            die("epoll_ctl");
    }
    for (;;) {
        struct epoll_event ev[256];
        int n = epoll_wait(ep, ev, 256, -1);
        for (int i = 0; i < n; i++)
            recv_batch(ev[i].data.fd, &s, MSG_DONTWAIT);
    }
    return NULL;
}

/* ---- sending ------------------------------------------------------------------------------- */

static void send_plain(int fd) {
    char buf[MAX_PLAIN] = {0};
    source s = {0};
    for (int d = 0; source_next(&s, buf); d = d + 1 == ndests ? 0 : d + 1)
        if (sendto(fd, buf, args.size, 0, (struct sockaddr *)&dests[d], sizeof dests[d]) < 0)
            die("sendto");
    source_publish(&s);
}

static void send_all(int fd, struct mmsghdr *m, int n) {
    for (int sent = 0, k; sent < n; sent += k)
        if ((k = sendmmsg(fd, m + sent, n - sent, 0)) < 0)
            die("sendmmsg");
}

static void send_batches(int fd) {
    struct mmsghdr m[BATCH] = {0};
    struct iovec iov[BATCH];
    char *mem = calloc(BATCH, args.size);
    source s = {0};
    for (int d = 0, more = 1; more;) {
        int n = 0;
        for (; n < BATCH; n++) {
            iov[n] = (struct iovec){mem + (size_t)n * args.size, args.size};
            if (!(more = source_next(&s, iov[n].iov_base)))
                break;
            m[n].msg_hdr = (struct msghdr){.msg_name = &dests[d], .msg_namelen = sizeof dests[d],
                                           .msg_iov = &iov[n], .msg_iovlen = 1};
            d = d + 1 == ndests ? 0 : d + 1;
        }
        send_all(fd, m, n);
    }
    source_publish(&s);
}

/* One segmented message for each destination, with what is due to it from the next few hundred
 * datagrams. */
static void send_segments(int fd) {
    int segs = held() / ndests;
    if (segs > 65507 / args.size)
        segs = 65507 / args.size;
    segs = segs > 64 ? 64 : segs < 1 ? 1 : segs;
    size_t stride = (size_t)segs * args.size;
    char *mem = calloc(ndests, stride);
    struct iovec *iov = calloc(ndests, sizeof *iov);
    struct mmsghdr *m = calloc(ndests, sizeof *m);
    char control[CMSG_SPACE(sizeof(uint16_t))] __attribute__((aligned(8))) = {0};
    struct cmsghdr *c = (struct cmsghdr *)control;
    uint16_t size = args.size;
    *c = (struct cmsghdr){.cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT,
                          .cmsg_len = CMSG_LEN(sizeof size)};
    memcpy(CMSG_DATA(c), &size, sizeof size);
    for (int d = 0; d < ndests; d++) {
        iov[d].iov_base = mem + d * stride;
        m[d].msg_hdr = (struct msghdr){.msg_name = &dests[d], .msg_namelen = sizeof dests[d],
                                       .msg_iov = &iov[d], .msg_iovlen = 1,
                                       .msg_control = control, .msg_controllen = sizeof control};
    }
    source s = {0};
    for (int more = 1; more;) {
        int n = 0;
        for (; n < segs * ndests; n++)
            if (!(more = source_next(&s, mem + n % ndests * stride + (size_t)(n / ndests) * size)))
                break;
        for (int d = 0; d < ndests; d++)
            iov[d].iov_len = (size_t)(n / ndests + (d < n % ndests)) * size;
        send_all(fd, m, n < ndests ? n : ndests);
    }
    source_publish(&s);
}

static void *sender(void *unused) {
    (void)unused;
    enter(args.sendns);
    int fd = open_socket(ipv4("0.0.0.0", 0));
    if (is_mode("plain"))
        send_plain(fd);
    else if (is_mode("mmsg"))
        send_batches(fd);
    else
        send_segments(fd);
    sending = 0;
    return NULL;
}

int main(int argc, char **argv) {
    parse(argc, argv);
    addr4 there, *at = &there;
    if (is_role("send")) {
        there = dest_addr();
    } else {
        enter(args.recvns); /* the sender's thread enters its own */
        receivers = calloc(args.receivers, sizeof *receivers);
        at = calloc(args.receivers, sizeof *at);
        for (int i = 0; i < args.receivers; i++) {
            receivers[i] = open_socket(bind_addr());
            at[i] = local_addr(receivers[i]);
        }
        spawn(args.receivers > 1 ? recv_many : is_mode("plain") ? recv_plain : recv_batches, NULL);
    }
    if (!is_role("recv")) {
        dests = destinations(at, &ndests);
        sending = 1;
        spawn(sender, NULL);
    }
    control_at(*at);
}
