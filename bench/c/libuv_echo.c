/* libuv, roles with answers: an echo server, a pinger, and idle handles. */
#include "child.h"
#include "socket.h"
#include "libuv.h"

static uv_loop_t loop;

/* ---- sending ------------------------------------------------------------------------------- */

/* A datagram in flight with its own copy, since the read buffer is reused and a reply can arrive
 * before the request's callback. Flights are kept, since a malloc for each would be slower. */
typedef struct flight {
    uv_udp_send_t req;
    struct flight *next;
    char data[2048];
} flight;

static flight *spare;

static void on_sent(uv_udp_send_t *r, int status) {
    flight *f = (flight *)r;
    (void)status; /* the client notices a lost reply */
    f->next = spare;
    spare = f;
}

static void send_one(uv_udp_t *h, char *data, size_t n, const struct sockaddr *to) {
    if (is_mode("try")) {
        uv_buf_t buf = uv_buf_init(data, n);
        uv_udp_try_send(h, &buf, 1, to);
        return;
    }
    flight *f = spare;
    if (f)
        spare = f->next;
    else
        f = malloc(sizeof *f);
    memcpy(f->data, data, n);
    uv_buf_t buf = uv_buf_init(f->data, n);
    check(uv_udp_send(&f->req, h, &buf, 1, to, on_sent), "uv_udp_send");
}

/* ---- echo server --------------------------------------------------------------------------- */

static void on_request(uv_udp_t *h, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                       unsigned flags) {
    (void)flags;
    if (n >= 0 && from && n <= (ssize_t)sizeof spare->data)
        send_one(h, buf->base, n, from);
}

/* ---- pinger -------------------------------------------------------------------------------- */

static uv_udp_t pinger;
static addr4 ping_to;
static char *ping_data;
static uint64_t ping_seq, ping_begin;
static sink pongs;

static void ask(void) {
    if (counts.stop) {
        sending = 0;
        uv_stop(&loop);
        return;
    }
    ping_seq++;
    memcpy(ping_data, &ping_seq, sizeof ping_seq);
    ping_begin = now_ns();
    send_one(&pinger, ping_data, args.size, (struct sockaddr *)&ping_to);
}

static void on_pong(uv_udp_t *h, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                    unsigned flags) {
    (void)h;
    (void)flags;
    if (n != args.size || !from || memcmp(buf->base, &ping_seq, sizeof ping_seq))
        return;
    hist_add(now_ns() - ping_begin);
    sink_add(&pongs, buf->base, n);
    sink_publish(&pongs);
    ask();
}

static void *ping(void *unused) {
    ask();
    return run_loop(unused);
}

/* ---- idle handles -------------------------------------------------------------------------- */

static void idle(void) {
    static uv_udp_t first;
    open_handle(&loop, &first, bind_addr(), on_request);
    long rss = resident(), slab = slab_bytes();
    uv_udp_t *handles = calloc(args.count, sizeof *handles);
    for (int i = 0; i < args.count; i++)
        open_handle(&loop, &handles[i], bind_addr(), on_request);
    spawn(run_loop, &loop);
    usleep(50000);
    control_idle(resident() - rss, slab_bytes() - slab);
}

int main(int argc, char **argv) {
    static uv_udp_t server;
    parse(argc, argv);
    if (is_role("version"))
        return puts(uv_version_string()) < 0;
    check(uv_loop_init(&loop), "uv_loop_init");
    if (is_role("idle"))
        idle();
    if (is_role("ping")) {
        ping_to = dest_addr();
        ping_data = calloc(1, args.size);
        open_handle(&loop, &pinger, ipv4("0.0.0.0", 0), on_pong);
        sending = 1;
        spawn(ping, &loop);
        control_at(handle_addr(&pinger));
    }
    open_handle(&loop, &server, bind_addr(), on_request);
    spawn(run_loop, &loop);
    control_at(handle_addr(&server));
}
