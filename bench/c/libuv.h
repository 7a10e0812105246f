/* The common part of the libuv peers. Modes: send (uv_udp_send, recvmsg), mmsg (uv_udp_send,
 * UV_UDP_RECVMMSG), try (uv_udp_try_send, UV_UDP_RECVMMSG). */
#include <uv.h>

static void check(int err, const char *what) {
    if (err < 0) {
        fprintf(stderr, "%s: %s\n", what, uv_strerror(err));
        exit(1);
    }
}

/* One read buffer for all handles of a loop, since its contents are used before the callback ends.
 * libuv splits it into 64 KiB pieces for recvmmsg. */
enum { READ_BUFFER = 20 * 65536 };

static void alloc_shared(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
    static char *mem;
    (void)h;
    (void)suggested;
    if (!mem)
        mem = malloc(READ_BUFFER);
    *buf = uv_buf_init(mem, is_mode("send") ? 65536 : READ_BUFFER);
}

/* Open and bind a handle. The receive callback is NULL for handles that only send. */
static void open_handle(uv_loop_t *loop, uv_udp_t *h, addr4 at, uv_udp_recv_cb received) {
    unsigned flags = AF_INET;
    if (received && !is_mode("send"))
        flags |= UV_UDP_RECVMMSG;
    check(uv_udp_init_ex(loop, h, flags), "uv_udp_init_ex");
    check(uv_udp_bind(h, (struct sockaddr *)&at, 0), "uv_udp_bind");
    uv_os_fd_t fd;
    check(uv_fileno((uv_handle_t *)h, &fd), "uv_fileno");
    grow(fd);
    if (received)
        check(uv_udp_recv_start(h, alloc_shared, received), "uv_udp_recv_start");
}

static inline addr4 handle_addr(uv_udp_t *h) {
    uv_os_fd_t fd;
    check(uv_fileno((uv_handle_t *)h, &fd), "uv_fileno");
    return local_addr(fd);
}

static inline void *run_loop(void *loop) {
    uv_run(loop, UV_RUN_DEFAULT);
    return NULL;
}
