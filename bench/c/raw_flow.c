/* Raw C, flow roles: sendto/recvfrom (mode=plain), sendmmsg/recvmmsg of 64 (mode=mmsg), and
 * UDP_SEGMENT/UDP_GRO under them (mode=gso), which is what the kernel can do at most. */
#include "child.h"
#include "socket.h"

enum { BATCH = 64, JUMBO = 65536, MAX_PLAIN = 2048 };

static int receiver_fd;
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
        ssize_t n = recvfrom(receiver_fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);
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

static void *recv_batches(void *unused) {
    (void)unused;
    int gro = is_mode("gso"), n = gro ? 8 : BATCH, size = gro ? JUMBO : MAX_PLAIN;
    if (gro && setsockopt(receiver_fd, SOL_UDP, UDP_GRO, &gro, sizeof gro))
        die("UDP_GRO");
    struct mmsghdr m[BATCH];
    struct iovec iov[BATCH];
    addr4 from[BATCH];
    char control[BATCH][CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
    char *mem = malloc((size_t)n * size);
    sink s = {0};
    for (;;) {
        for (int i = 0; i < n; i++) {
            iov[i] = (struct iovec){mem + (size_t)i * size, size};
            m[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i],
                                           .msg_iov = &iov[i], .msg_iovlen = 1};
            if (gro) {
                m[i].msg_hdr.msg_control = control[i];
                m[i].msg_hdr.msg_controllen = sizeof control[i];
            }
        }
        int k = recvmmsg(receiver_fd, m, n, MSG_WAITFORONE, NULL);
        if (k < 0)
            die("recvmmsg");
        for (int i = 0; i < k; i++) {
            char *p = iov[i].iov_base;
            int len = m[i].msg_len, seg = gro ? segment_size(&m[i].msg_hdr, len) : len;
            do {
                sink_add(&s, p, len < seg ? len : seg);
                p += seg;
                len -= seg;
            } while (len > 0);
        }
        sink_publish(&s);
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

/* One flow only: a message for each destination would be sendmmsg again. */
static void send_segments(int fd) {
    int segs = 65507 / args.size;
    if (segs > 64)
        segs = 64;
    char *mem = calloc(segs, args.size);
    char control[CMSG_SPACE(sizeof(uint16_t))] __attribute__((aligned(8))) = {0};
    struct iovec iov = {mem, 0};
    struct msghdr m = {.msg_name = &dests[0], .msg_namelen = sizeof dests[0], .msg_iov = &iov,
                       .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    uint16_t size = args.size;
    *c = (struct cmsghdr){.cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT,
                          .cmsg_len = CMSG_LEN(sizeof size)};
    memcpy(CMSG_DATA(c), &size, sizeof size);
    source s = {0};
    for (int more = 1; more;) {
        int n = 0;
        while (n < segs && (more = source_next(&s, mem + (size_t)n * args.size)))
            n++;
        iov.iov_len = (size_t)n * args.size;
        if (n > 0 && sendmsg(fd, &m, 0) < 0)
            die("sendmsg");
    }
    source_publish(&s);
}

static void *sender(void *unused) {
    (void)unused;
    enter(args.sendns);
    int fd = open_socket(ipv4("0.0.0.0", 0));
    if (is_mode("plain"))
        send_plain(fd);
    else if (is_mode("mmsg") || ndests > 1)
        send_batches(fd);
    else
        send_segments(fd);
    sending = 0;
    return NULL;
}

int main(int argc, char **argv) {
    parse(argc, argv);
    addr4 at = {0};
    if (is_role("send")) {
        at = dest_addr();
    } else {
        enter(args.recvns); /* the sender's thread enters its own */
        receiver_fd = open_socket(bind_addr());
        at = local_addr(receiver_fd);
        spawn(is_mode("plain") ? recv_plain : recv_batches, NULL);
    }
    if (!is_role("recv")) {
        dests = destinations(&at, &ndests);
        sending = 1;
        spawn(sender, NULL);
    }
    control_at(at);
}
