/* Stands between a program and its machine's clock: the clock runs faster than life, and is wrong when told to be.
 *
 * Preloaded (LD_PRELOAD) under an unmodified program. CLOCK_REALTIME, CLOCK_BOOTTIME, time(), gettimeofday(), the kernel's word
 * on whether the clock is right (adjtimex) and the id of the boot come from a file that FAULTS_CLOCK names, which whoever
 * runs the test writes while the program runs. CLOCK_MONOTONIC, by which everything waits, stays as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

/* As in wrong_clock.py. */
struct machine {
    int64_t origin_ns;  /* CLOCK_MONOTONIC at which the clock starts to run */
    int64_t start_ns;   /* what the right time is then */
    int64_t booted_ns;  /* the right time at which the machine was started */
    int64_t wrong_ns;   /* what CLOCK_REALTIME shows too much */
    int64_t vouched;    /* whether the kernel says that the clock is right */
    double speed;
};

static const char BOOT_ID[] = "/proc/sys/kernel/random/boot_id";
static const volatile struct machine *machine;

#define REAL(type, name, ...) \
    static type (*real_##name)(__VA_ARGS__); \
    if (!real_##name) real_##name = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    REAL(int, open, const char *, int, ...);
    const char *path = getenv("FAULTS_CLOCK");
    if (!path) abort();
    int fd = real_open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) abort();
    void *at = mmap(NULL, sizeof(struct machine), PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) abort();
    close(fd);
    machine = at;
}

static int64_t right_ns(void) {
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    struct timespec now;
    real_clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t since = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - machine->origin_ns;
    return machine->start_ns + (int64_t)((double)(since > 0 ? since : 0) * machine->speed);
}

static int64_t wall_ns(void) {
    return right_ns() + machine->wrong_ns;
}

static void put(struct timespec *into, int64_t ns) {
    into->tv_sec = ns / 1000000000;
    into->tv_nsec = ns % 1000000000;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    if (machine && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        put(now, wall_ns());
        return 0;
    }
    if (machine && id == CLOCK_BOOTTIME) {
        put(now, right_ns() - machine->booted_ns);
        return 0;
    }
    return real_clock_gettime(id, now);
}

time_t time(time_t *into) {
    time_t now = machine ? (time_t)(wall_ns() / 1000000000) : 0;
    if (into) *into = now;
    return now;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    int64_t ns = machine ? wall_ns() : 0;
    now->tv_sec = ns / 1000000000;
    now->tv_usec = ns % 1000000000 / 1000;
    return 0;
}

int adjtimex(struct timex *facts) {
    if (facts->modes != 0) {
        errno = EPERM;
        return -1;
    }
    memset(facts, 0, sizeof *facts);
    facts->status = machine && machine->vouched ? 0 : STA_UNSYNC;
    return machine && machine->vouched ? TIME_OK : TIME_ERROR;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, name, const char *, int, ...); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        const char *boot = getenv("FAULTS_BOOT"); \
        return real_##name(boot && strcmp(path, BOOT_ID) == 0 ? boot : path, flags, mode); \
    }

OPEN(open)
OPEN(open64)
