/* Stands between a program and its files: notes what was written and what was synced, and lets one call fail.
 *
 * Preloaded (LD_PRELOAD) under the unmodified store and the interpreter's own SQLite. Only files below a
 * folder are looked at. Each call that changes them is noted in a trace, with its bytes, in the order in which the
 * calls returned; `disk.py` reads it and makes of it the disk that a power cut would have left.
 *
 * A program says with `faults_begin` from when on, and which of those calls is to fail: the Nth (1 is the first), and
 * every later one too when that is asked for. With `faults_mark` it says in the trace how far it is.
 *
 * A note: kind (1 byte), file descriptor (4), offset (8), length (8), then so many bytes; integers in the machine's order.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { OPENED = 1, WRITTEN, TRUNCATED, SYNCED, UNLINKED, RENAMED, CLOSED, MARKED, FAILED };
enum { MOST_FILES = 4096, LONGEST = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char under[LONGEST];
static size_t under_length;
static int trace = -1;
static long counted, fail_at, fails_with, lasting;
static unsigned char looked_at[MOST_FILES];

#define REAL(type, name, ...) \
    static type (*real_##name)(__VA_ARGS__); \
    if (!real_##name) real_##name = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static void put(const void *bytes, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    const char *at = bytes;
    while (length > 0) {
        ssize_t done = real_write(trace, at, length);
        if (done <= 0) abort();
        at += done;
        length -= (size_t)done;
    }
}

static void note(uint8_t kind, int32_t fd, uint64_t offset, const void *bytes, uint64_t length) {
    char head[21];
    int before = errno;
    if (trace < 0) return;
    head[0] = (char)kind;
    memcpy(head + 1, &fd, 4);
    memcpy(head + 5, &offset, 8);
    memcpy(head + 13, &length, 8);
    pthread_mutex_lock(&lock);
    put(head, sizeof head);
    if (length > 0) put(bytes, length);
    pthread_mutex_unlock(&lock);
    errno = before;
}

/* Begin anew: look at the files below `folder`, note them in `path`, and let call `at` fail with `number`; 0 for none. */
void faults_begin(const char *folder, const char *path, long at, long number, int from_then_on) {
    REAL(int, open, const char *, int, ...);
    if (strlen(folder) >= LONGEST) abort();
    if (trace >= 0) close(trace);
    strcpy(under, folder);
    under_length = strlen(under);
    counted = 0;
    fail_at = at;
    fails_with = number;
    lasting = from_then_on;
    trace = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (trace < 0) abort();
}

/* Whether a path is the folder itself, whose name ends with a slash in `under`, or below it. */
static int below(const char *path) {
    if (under_length == 0 || !path || strncmp(path, under, under_length - 1) != 0) return 0;
    return path[under_length - 1] == '/' || path[under_length - 1] == '\0';
}

static int watched(int fd) {
    return fd >= 0 && fd < MOST_FILES && looked_at[fd];
}

/* Whether this call is to fail; errno is set then. */
static int fails(int fd) {
    pthread_mutex_lock(&lock);
    long number = ++counted;
    pthread_mutex_unlock(&lock);
    if (fail_at == 0 || (lasting ? number < fail_at : number != fail_at)) return 0;
    note(FAILED, fd, (uint64_t)number, NULL, 0);
    errno = (int)fails_with;
    return 1;
}

void faults_mark(const char *text) {
    note(MARKED, -1, 0, text, strlen(text));
}

static int opened(int fd, const char *path) {
    if (fd >= 0 && fd < MOST_FILES) {
        struct stat facts;
        looked_at[fd] = 1;
        /* A folder has nothing of its own to be written; that it was synced makes its names last. */
        note(OPENED, fd, fstat(fd, &facts) == 0 && S_ISDIR(facts.st_mode), path, strlen(path));
    }
    return fd;
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
        if (!below(path)) return real_##name(path, flags, mode); \
        if ((flags & O_CREAT) && fails(-1)) return -1; \
        int fd = real_##name(path, flags, mode); \
        if (fd >= 0 && (flags & O_TRUNC)) { \
            opened(fd, path); \
            note(TRUNCATED, fd, 0, NULL, 0); \
            return fd; \
        } \
        return opened(fd, path); \
    }

OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(int, name, int, const char *, int, ...); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        if (!below(path)) return real_##name(folder, path, flags, mode); \
        if ((flags & O_CREAT) && fails(-1)) return -1; \
        return opened(real_##name(folder, path, flags, mode), path); \
    }

OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    REAL(int, close, int);
    if (watched(fd)) {
        looked_at[fd] = 0;
        note(CLOSED, fd, 0, NULL, 0);
    }
    return real_close(fd);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    if (!watched(fd)) return real_write(fd, bytes, length);
    if (fails(fd)) return -1;
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = real_write(fd, bytes, length);
    if (done > 0) note(WRITTEN, fd, (uint64_t)at, bytes, (uint64_t)done);
    return done;
}

#define PWRITE(name, offset_type) \
    ssize_t name(int fd, const void *bytes, size_t length, offset_type at) { \
        REAL(ssize_t, name, int, const void *, size_t, offset_type); \
        if (!watched(fd)) return real_##name(fd, bytes, length, at); \
        if (fails(fd)) return -1; \
        ssize_t done = real_##name(fd, bytes, length, at); \
        if (done > 0) note(WRITTEN, fd, (uint64_t)at, bytes, (uint64_t)done); \
        return done; \
    }

PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, offset_type) \
    int name(int fd, offset_type length) { \
        REAL(int, name, int, offset_type); \
        if (!watched(fd)) return real_##name(fd, length); \
        if (fails(fd)) return -1; \
        int done = real_##name(fd, length); \
        if (done == 0) note(TRUNCATED, fd, (uint64_t)length, NULL, 0); \
        return done; \
    }

TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name) \
    int name(int fd) { \
        REAL(int, name, int); \
        if (!watched(fd)) return real_##name(fd); \
        if (fails(fd)) return -1; \
        int done = real_##name(fd); \
        if (done == 0) note(SYNCED, fd, 0, NULL, 0); \
        return done; \
    }

SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    if (!below(path)) return real_unlink(path);
    if (fails(-1)) return -1;
    int done = real_unlink(path);
    if (done == 0) note(UNLINKED, -1, 0, path, strlen(path));
    return done;
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    if (!below(from) && !below(to)) return real_rename(from, to);
    if (fails(-1)) return -1;
    int done = real_rename(from, to);
    if (done == 0) {
        char both[2 * LONGEST];
        size_t first = strlen(from), second = strlen(to);
        memcpy(both, from, first);
        memcpy(both + first, to, second);
        note(RENAMED, -1, first, both, first + second);
    }
    return done;
}
