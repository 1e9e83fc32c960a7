// Lets single calls of the C library fail: preloaded into a process, it counts the calls on files below
// a directory, and lets some of them fail in the way that is asked for.
//
//   VECDB_FAULT_ROOT=DIR                 only files below this directory count
//   VECDB_FAULT_COUNTS=FILE              where the numbers are kept: an array of 64-bit integers, one
//                                        for each function in the order below, then the faults
//   VECDB_FAULT=FUNCTION:KIND:N:TIMES    the nth call of the function and the TIMES - 1 after it fail;
//                                        TIMES 0: all after it
//
// FUNCTION is one of the names below; `change` stands for all that need space or change a name,
// `all` for all. KIND is a number of errno, `short` (a read or write of half of the bytes) or `kill`.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum function {
  OPEN, OPENDIR, READ, PREAD, WRITE, PWRITE, FSYNC, FDATASYNC, FTRUNCATE, FALLOCATE, RENAME, UNLINK,
  MKDIR, MMAP, FLOCK, STAT, FUNCTIONS
};
static const char *const names[FUNCTIONS] = {
  "open", "opendir", "read", "pread", "write", "pwrite", "fsync", "fdatasync", "ftruncate",
  "fallocate", "rename", "unlink", "mkdir", "mmap", "flock", "stat"};

static char root[PATH_MAX];
static size_t root_length;
static char function[32];
static int kind;
static long first, times;
static _Atomic int64_t *counts;
static atomic_long matching;

enum { SHORT = -1, KILL = -2 };

static void fail_start(const char *why) {
  fprintf(stderr, "faults: %s\n", why);
  _exit(99);
}

static void *next(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) fail_start(name);
  return found;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = next(#name)

__attribute__((constructor)) static void read_environment(void) {
  const char *place = getenv("VECDB_FAULT_ROOT");
  const char *file = getenv("VECDB_FAULT_COUNTS");
  if (!place || !file) return;
  if (!realpath(place, root)) fail_start("VECDB_FAULT_ROOT is not there");
  root_length = strlen(root);
  const char *fault = getenv("VECDB_FAULT");
  if (fault) {
    char text[32];
    if (sscanf(fault, "%31[^:]:%31[^:]:%ld:%ld", function, text, &first, &times) != 4)
      fail_start("VECDB_FAULT cannot be read");
    kind = strcmp(text, "short") == 0 ? SHORT : strcmp(text, "kill") == 0 ? KILL : atoi(text);
    if (kind == 0) fail_start("the kind of VECDB_FAULT cannot be read");
  }
  int (*really_open)(const char *, int, ...) = next("open64");
  int descriptor = really_open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  void *(*really_map)(void *, size_t, int, int, int, off64_t) = next("mmap64");
  int (*really_truncate)(int, off64_t) = next("ftruncate64");
  if (descriptor < 0 || really_truncate(descriptor, 4096) != 0) fail_start(file);
  void *mapped = really_map(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (mapped == MAP_FAILED) fail_start(file);
  close(descriptor);
  counts = mapped;
}

static int needs_space(enum function called) {
  switch (called) {
    case WRITE: case PWRITE: case FSYNC: case FDATASYNC: case FTRUNCATE: case FALLOCATE: case RENAME:
    case MKDIR: return 1;
    default: return 0;
  }
}

// Whether a path lies below the root. Relative ones are looked for in the working directory.
static int is_below_root(const char *path) {
  if (!counts || !path) return 0;
  char whole[PATH_MAX * 2];
  if (path[0] != '/') {
    if (!getcwd(whole, PATH_MAX)) return 0;
    size_t length = strlen(whole);
    snprintf(whole + length, sizeof whole - length, "/%s", path);
    path = whole;
  }
  return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || !path[root_length]);
}

static int is_file_below_root(int file) {
  if (!counts || file < 0) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_below_root(path);
}

// What a call is to do: 0 as always, a number of errno, SHORT.
static int fault(enum function called, int creates) {
  atomic_fetch_add(&counts[called], 1);
  if (first == 0) return 0;
  int is_meant = strcmp(function, names[called]) == 0 || strcmp(function, "all") == 0 ||
    (strcmp(function, "change") == 0 && (needs_space(called) || (called == OPEN && creates)));
  if (!is_meant) return 0;
  long number = atomic_fetch_add(&matching, 1) + 1;
  if (number < first || (times != 0 && number >= first + times)) return 0;
  atomic_fetch_add(&counts[FUNCTIONS], 1);
  if (kind == KILL) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
  return kind;
}

#define ON_PATH(called, path, creates, failure)                \
  {                                                            \
    int saved = errno;                                         \
    int code = is_below_root(path) ? fault(called, creates) : 0; \
    errno = saved;                                             \
    if (code > 0) { errno = code; return failure; }            \
  }
#define ON_FILE(called, file, failure)                         \
  int code;                                                    \
  {                                                            \
    int saved = errno;                                         \
    code = is_file_below_root(file) ? fault(called, 0) : 0;    \
    errno = saved;                                             \
    if (code > 0) { errno = code; return failure; }            \
  }
// Half of the bytes, at least one.
#define PART(count) (code == SHORT && (count) > 1 ? (count) / 2 : (count))

#define MODE                                                   \
  mode_t mode = 0;                                             \
  if (flags & (O_CREAT | __O_TMPFILE)) {                       \
    va_list arguments;                                         \
    va_start(arguments, flags);                                \
    mode = va_arg(arguments, mode_t);                          \
    va_end(arguments);                                         \
  }

#define OPENS(name)                                            \
  int name(const char *path, int flags, ...) {                 \
    REAL(name);                                                \
    MODE                                                       \
    ON_PATH(OPEN, path, flags & O_CREAT, -1)                   \
    return real(path, flags, mode);                            \
  }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                         \
  int name(int directory, const char *path, int flags, ...) {  \
    REAL(name);                                                \
    MODE                                                       \
    if (directory == AT_FDCWD || path[0] == '/') {             \
      ON_PATH(OPEN, path, flags & O_CREAT, -1)                 \
    } else {                                                   \
      ON_FILE(OPEN, directory, -1)                             \
    }                                                          \
    return real(directory, path, flags, mode);                 \
  }
OPENS_AT(openat)
OPENS_AT(openat64)

DIR *opendir(const char *path) {
  REAL(opendir);
  ON_PATH(OPENDIR, path, 0, NULL)
  return real(path);
}

DIR *fdopendir(int file) {
  REAL(fdopendir);
  ON_FILE(OPENDIR, file, NULL)
  return real(file);
}

ssize_t read(int file, void *bytes, size_t count) {
  REAL(read);
  ON_FILE(READ, file, -1)
  return real(file, bytes, PART(count));
}

ssize_t write(int file, const void *bytes, size_t count) {
  REAL(write);
  ON_FILE(WRITE, file, -1)
  return real(file, bytes, PART(count));
}

#define AT_OFFSET(name, called, bytes_type, offset_type)                        \
  ssize_t name(int file, bytes_type bytes, size_t count, offset_type offset) {  \
    REAL(name);                                                                 \
    ON_FILE(called, file, -1)                                                   \
    return real(file, bytes, PART(count), offset);                              \
  }
AT_OFFSET(pread, PREAD, void *, off_t)
AT_OFFSET(pread64, PREAD, void *, off64_t)
AT_OFFSET(pwrite, PWRITE, const void *, off_t)
AT_OFFSET(pwrite64, PWRITE, const void *, off64_t)

int fsync(int file) {
  REAL(fsync);
  ON_FILE(FSYNC, file, -1)
  return real(file);
}

int fdatasync(int file) {
  REAL(fdatasync);
  ON_FILE(FDATASYNC, file, -1)
  return real(file);
}

#define TRUNCATES(name, offset_type)      \
  int name(int file, offset_type size) {  \
    REAL(name);                           \
    ON_FILE(FTRUNCATE, file, -1)          \
    return real(file, size);              \
  }
TRUNCATES(ftruncate, off_t)
TRUNCATES(ftruncate64, off64_t)

#define ALLOCATES(name, offset_type)                                      \
  int name(int file, int flags, offset_type offset, offset_type length) { \
    REAL(name);                                                           \
    ON_FILE(FALLOCATE, file, -1)                                          \
    return real(file, flags, offset, length);                             \
  }
ALLOCATES(fallocate, off_t)
ALLOCATES(fallocate64, off64_t)

int rename(const char *from, const char *to) {
  REAL(rename);
  ON_PATH(RENAME, to, 0, -1)
  return real(from, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  REAL(renameat2);
  ON_PATH(RENAME, to, 0, -1)
  return real(a, from, b, to, flags);
}

int link(const char *from, const char *to) {
  REAL(link);
  ON_PATH(RENAME, to, 0, -1)
  return real(from, to);
}

int unlink(const char *path) {
  REAL(unlink);
  ON_PATH(UNLINK, path, 0, -1)
  return real(path);
}

int rmdir(const char *path) {
  REAL(rmdir);
  ON_PATH(UNLINK, path, 0, -1)
  return real(path);
}

int unlinkat(int directory, const char *path, int flags) {
  REAL(unlinkat);
  if (directory == AT_FDCWD || path[0] == '/') {
    ON_PATH(UNLINK, path, 0, -1)
  } else {
    ON_FILE(UNLINK, directory, -1)
  }
  return real(directory, path, flags);
}

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  ON_PATH(MKDIR, path, 0, -1)
  return real(path, mode);
}

#define MAPS(name, offset_type)                                                                    \
  void *name(void *address, size_t length, int protection, int flags, int file, offset_type offset) { \
    REAL(name);                                                                                    \
    ON_FILE(MMAP, file, MAP_FAILED)                                                                \
    return real(address, length, protection, flags, file, offset);                                 \
  }
MAPS(mmap, off_t)
MAPS(mmap64, off64_t)

int flock(int file, int operation) {
  REAL(flock);
  ON_FILE(FLOCK, file, -1)
  return real(file, operation);
}

#define EXAMINES(name, status_type)                  \
  int name(const char *path, struct status_type *status) { \
    REAL(name);                                      \
    ON_PATH(STAT, path, 0, -1)                       \
    return real(path, status);                       \
  }
EXAMINES(stat, stat)
EXAMINES(stat64, stat64)
EXAMINES(lstat, stat)
EXAMINES(lstat64, stat64)
EXAMINES(statvfs, statvfs)
EXAMINES(statvfs64, statvfs64)

#define EXAMINES_FILE(name, status_type)             \
  int name(int file, struct status_type *status) {   \
    REAL(name);                                      \
    ON_FILE(STAT, file, -1)                          \
    return real(file, status);                       \
  }
EXAMINES_FILE(fstat, stat)
EXAMINES_FILE(fstat64, stat64)
