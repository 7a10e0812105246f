/* Addresses and sockets of the C peers. */

/* Enter a network namespace for the rest of this thread. */
static inline void enter(const char *ns) {
    if (!ns)
        return;
    int fd = open(ns, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
        die(ns);
    close(fd);
}

static addr4 ipv4(const char *ip, int port) {
    addr4 a = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
        die(ip);
    return a;
}

/* The address in dest=ip:port. */
static inline addr4 dest_addr(void) {
    char ip[32];
    const char *colon = strrchr(args.dest, ':');
    snprintf(ip, sizeof ip, "%.*s", (int)(colon - args.dest), args.dest);
    return ipv4(ip, atoi(colon + 1));
}

/* Receivers of many addresses bind the wildcard. */
static inline addr4 bind_addr(void) { return ipv4(args.dests > 1 ? "0.0.0.0" : args.bind, 0); }

/* Set the bench's buffers, beyond the system's limit if that is allowed. */
static void grow(int fd) {
    int n = 4 << 20;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n, sizeof n))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n, sizeof n);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &n, sizeof n))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof n);
}

static inline addr4 local_addr(int fd) {
    addr4 a;
    socklen_t n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n))
        die("getsockname");
    return a;
}

/* The destinations of a sender, as internal/child's Destinations returns them. */
static inline addr4 *destinations(const addr4 *receivers, int *n) {
    int many = args.dests > 1;
    *n = many ? args.dests : args.receivers;
    addr4 *list = calloc(*n, sizeof *list);
    for (int i = 0; i < *n; i++) {
        list[i] = receivers[many ? 0 : i];
        if (many)
            list[i].sin_addr.s_addr = htonl(0x7f010000u + i);
    }
    return list;
}
