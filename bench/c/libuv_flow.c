/* libuv, flow roles: a receiving loop and a sending loop, each on its own thread. */
#include "child.h"
#include "socket.h"
#include "libuv.h"

enum { REQUESTS = 64 }; /* uv_udp_send requests in flight; more gain nothing */

static addr4 *dests;
static int ndests, next_dest;

/* ---- receiving ----------------------------------------------------------------------------- */

static sink arrived; /* for all handles of the only loop */

static void on_recv(uv_udp_t *h, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                    unsigned flags) {
    (void)h;
    (void)flags;
    if (n < 0 || !from) /* an error, or the end of a batch */
        return;
    sink_add(&arrived, buf->base, n);
    sink_publish(&arrived);
}

static addr4 *open_receivers(void) {
    static uv_loop_t loop;
    check(uv_loop_init(&loop), "uv_loop_init");
    uv_udp_t *handles = calloc(args.receivers, sizeof *handles);
    addr4 *at = calloc(args.receivers, sizeof *at);
    for (int i = 0; i < args.receivers; i++) {
        open_handle(&loop, &handles[i], bind_addr(), on_recv);
        at[i] = handle_addr(&handles[i]);
    }
    spawn(run_loop, &loop);
    return at;
}

/* ---- sending ------------------------------------------------------------------------------- */

static uv_udp_t out;
static source numbers;

static const struct sockaddr *turn(void) {
    addr4 *d = &dests[next_dest];
    next_dest = next_dest + 1 == ndests ? 0 : next_dest + 1;
    return (const struct sockaddr *)d;
}

/* send, mmsg: some requests, each sent again from its callback. */
static void on_sent(uv_udp_send_t *r, int status) {
    check(status, "uv_udp_send");
    uv_buf_t buf = uv_buf_init(r->data, args.size);
    if (source_next(&numbers, buf.base))
        check(uv_udp_send(r, &out, &buf, 1, turn(), on_sent), "uv_udp_send");
}

static void start_requests(void) {
    uv_udp_send_t *rs = calloc(REQUESTS, sizeof *rs);
    for (int i = 0; i < REQUESTS; i++) {
        rs[i].data = calloc(1, args.size);
        on_sent(&rs[i], 0);
    }
}

/* try: as much as one turn of the loop may take. */
static void on_idle(uv_idle_t *idle) {
    static char *mem, refused; /* refused: the payload is numbered already */
    static const struct sockaddr *to;
    if (!mem)
        mem = calloc(1, args.size);
    for (int i = 0; i < REQUESTS; i++) {
        if (!refused) {
            if (!source_next(&numbers, mem)) {
                uv_idle_stop(idle);
                return;
            }
            to = turn();
        }
        uv_buf_t buf = uv_buf_init(mem, args.size);
        int n = uv_udp_try_send(&out, &buf, 1, to);
        refused = n == UV_EAGAIN;
        if (refused)
            return;
        check(n, "uv_udp_try_send");
    }
}

static void *sender(void *unused) {
    static uv_loop_t loop;
    static uv_idle_t idle;
    (void)unused;
    enter(args.sendns);
    check(uv_loop_init(&loop), "uv_loop_init");
    open_handle(&loop, &out, ipv4("0.0.0.0", 0), NULL);
    if (is_mode("try")) {
        check(uv_idle_init(&loop, &idle), "uv_idle_init");
        check(uv_idle_start(&idle, on_idle), "uv_idle_start");
    } else {
        start_requests();
    }
    uv_run(&loop, UV_RUN_DEFAULT); /* ends with the last request: nothing is received here */
    source_publish(&numbers);
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
        at = open_receivers();
    }
    if (!is_role("recv")) {
        dests = destinations(at, &ndests);
        sending = 1;
        spawn(sender, NULL);
    }
    control_at(*at);
}
