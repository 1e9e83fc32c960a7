// Preloaded into a process, makes each of its syncs take VECDB_SYNC_MICROSECONDS longer: a slower
// disk, as far as waiting for it goes.
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void linger(void) {
  static long nanoseconds = -1;
  if (nanoseconds < 0) {
    const char *text = getenv("VECDB_SYNC_MICROSECONDS");
    nanoseconds = text ? atol(text) * 1000 : 0;
  }
  struct timespec rest = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {}
}

int fsync(int file) {
  linger();
  return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
  linger();
  return (int)syscall(SYS_fdatasync, file);
}
