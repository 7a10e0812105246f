/* The common part of all C peers: arguments, counters, the gate that limits datagrams in flight, and
 * the answers to the parent. internal/child and internal/mark are its counterparts in Go. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

typedef struct sockaddr_in addr4;

static struct {
    const char *mode, *role, *dest, *bind, *sendns, *recvns;
    int size, window, dests, receivers, count;
} args = {.mode = "", .role = "", .bind = "127.0.0.1", .dests = 1, .receivers = 1};

/* The totals of one receiving and one sending thread, and the gate. The two sides are on separate
 * cache lines. */
static struct {
    _Alignas(64) _Atomic uint64_t sent;
    _Atomic uint64_t sent_sum;
    _Alignas(64) _Atomic uint64_t received;
    _Atomic uint64_t recv_sum, bad;
    _Alignas(64) _Atomic int stop;
    _Atomic int recording, waiting;
    _Atomic uint64_t wake_at;
    sem_t wake;
} counts;

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

/* ---- arguments: key=value ------------------------------------------------------------------ */

static void parse(int argc, char **argv) {
    struct { const char *key; const char **text; int *number; } fields[] = {
        {"mode=", &args.mode, 0},     {"role=", &args.role, 0},      {"dest=", &args.dest, 0},
        {"bind=", &args.bind, 0},     {"sendns=", &args.sendns, 0},  {"recvns=", &args.recvns, 0},
        {"size=", 0, &args.size},     {"window=", 0, &args.window},  {"dests=", 0, &args.dests},
        {"count=", 0, &args.count},   {"receivers=", 0, &args.receivers},
    };
    for (int i = 1; i < argc; i++)
        for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
            size_t n = strlen(fields[f].key);
            if (strncmp(argv[i], fields[f].key, n))
                continue;
            if (fields[f].text)
                *fields[f].text = argv[i] + n;
            else
                *fields[f].number = atoi(argv[i] + n);
        }
    sem_init(&counts.wake, 0, 0);
}

/* How many datagrams a sender may number and keep to itself: see internal/child's Held. */
static inline int held(void) {
    return args.window && args.window / 2 < 512 ? args.window / 2 : 512;
}

/* Size of the buffers that one datagram is read into. */
static inline int read_size(void) { return args.size > 2048 ? args.size : 2048; }

static int is_role(const char *r) { return !strcmp(args.role, r); }
static int is_mode(const char *m) { return !strcmp(args.mode, m); }

/* ---- counting ------------------------------------------------------------------------------ */

/* A receiver's own totals, published after each read. */
typedef struct { uint64_t n, sum, bad; } sink;

static inline void sink_add(sink *s, const char *p, size_t len) {
    s->n++;
    if (len != (size_t)args.size) {
        s->bad++;
    } else {
        uint64_t v;
        memcpy(&v, p, sizeof v);
        s->sum += v;
    }
}

static inline void sink_publish(sink *s) {
    atomic_store_explicit(&counts.recv_sum, s->sum, memory_order_relaxed);
    atomic_store_explicit(&counts.bad, s->bad, memory_order_relaxed);
    atomic_store_explicit(&counts.received, s->n, memory_order_seq_cst);
    if (atomic_load(&counts.waiting) && s->n >= atomic_load(&counts.wake_at) &&
        atomic_exchange(&counts.waiting, 0))
        sem_post(&counts.wake);
}

/* A sender's numbers and its side of the gate. */
typedef struct { uint64_t n, sum, lost, allowed; } source;

static void source_publish(source *s) {
    atomic_store_explicit(&counts.sent_sum, s->sum, memory_order_relaxed);
    atomic_store_explicit(&counts.sent, s->n, memory_order_relaxed);
}

/* Sleep until half of the window is free. If nothing arrives for 5 ms, what is in flight is lost. */
static void gate_wait(source *s) {
    uint64_t seen = atomic_load(&counts.received);
    while (!counts.stop) {
        uint64_t out = s->lost + args.window / 2, target = s->n > out ? s->n - out : 0;
        atomic_store(&counts.wake_at, target);
        atomic_store(&counts.waiting, 1);
        if (atomic_load(&counts.received) >= target) {
            atomic_store(&counts.waiting, 0);
            return;
        }
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += 5000000;
        if (t.tv_nsec >= 1000000000) {
            t.tv_nsec -= 1000000000;
            t.tv_sec++;
        }
        if (sem_timedwait(&counts.wake, &t) < 0 && errno == ETIMEDOUT) {
            uint64_t now = atomic_load(&counts.received);
            if (now == seen)
                s->lost = s->n - now;
            seen = now;
        }
    }
}

/* Number the next payload. Returns 0 when sending should end. */
static inline int source_next(source *s, char *p) {
    if (s->n >= s->allowed) {
        source_publish(s);
        if (counts.stop)
            return 0;
        s->allowed = s->n + 64;
        if (args.window && s->n >= atomic_load(&counts.received) + s->lost + args.window) {
            gate_wait(s);
            s->allowed = s->n + 1;
        }
    }
    memcpy(p, &s->n, sizeof s->n);
    s->sum += s->n++;
    return 1;
}

/* ---- answers ------------------------------------------------------------------------------- */

static _Atomic int sending; /* 1 while a sender thread runs */
static uint64_t hist[58 << 6];

/* The buckets of internal/mark's Histogram: 64 for every power of two. */
static inline void hist_add(uint64_t v) {
    if (!counts.recording)
        return;
    if (v < 128) {
        hist[v]++;
        return;
    }
    int shift = 63 - __builtin_clzll(v) - 6;
    hist[(shift << 6) + (v >> shift)]++;
}

static uint64_t hist_upper(uint64_t i) {
    if (i < 128)
        return i;
    uint64_t shift = (i >> 6) - 1;
    return ((i - (shift << 6) + 1) << shift) - 1;
}

/* Resident memory of this process in bytes. */
static long resident(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        die("/proc/self/statm");
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

/* Size of the kernel's object caches, of the whole machine. */
static inline long slab_bytes(void) {
    char line[128];
    long kib = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Slab: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib * 1024;
}

static void print_mark(int last) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    uint64_t cpu = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000u +
                   (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000u;
    printf("{\"ns\":%lu,\"cpu\":%lu,\"sent\":%lu,\"received\":%lu,\"sent_sum\":%lu,\"recv_sum\":%lu,"
           "\"bad\":%lu,\"switches\":%ld,\"rss\":%ld",
           now_ns(), cpu, counts.sent, counts.received, counts.sent_sum, counts.recv_sum, counts.bad,
           u.ru_nvcsw + u.ru_nivcsw, resident());
    const char *sep = ",\"hist\":[";
    for (uint64_t i = 0; last && i < sizeof hist / sizeof *hist; i++)
        if (hist[i]) {
            printf("%s[%lu,%lu]", sep, hist_upper(i), hist[i]);
            sep = ",";
        }
    puts(last && *sep == ',' && sep[1] == 0 ? "]}" : "}");
    fflush(stdout);
}

/* Report that the traffic runs, answer marks, and end the process when told to. */
static void control(const char *ready) {
    char line[64];
    puts(ready);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) && strcmp(line, "stop\n")) {
        counts.recording = 1;
        print_mark(0);
    }
    counts.recording = 0;
    counts.stop = 1;
    while (sending)
        usleep(1000);
    uint64_t before;
    do { /* datagrams in transit are not lost */
        before = counts.received;
        usleep(50000);
    } while (counts.received != before && !is_role("echo") && !is_role("ping"));
    print_mark(1);
    exit(0);
}

static inline void control_at(addr4 a) {
    char ready[96], ip[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &a.sin_addr, ip, sizeof ip);
    snprintf(ready, sizeof ready, "{\"addr\":\"%s:%d\"}", ip, ntohs(a.sin_port));
    control(ready);
}

static inline void control_idle(long rss, long slab) {
    char ready[96];
    snprintf(ready, sizeof ready, "{\"rss\":%ld,\"slab\":%ld}", rss, slab);
    control(ready);
}

static inline void spawn(void *(*f)(void *), void *arg) {
    pthread_t t;
    if ((errno = pthread_create(&t, NULL, f, arg)))
        die("pthread_create");
}
