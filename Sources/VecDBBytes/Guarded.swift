#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A value behind a lock, used like `Synchronization.Mutex`.
///
/// It stands on `pthread_mutex_t` for two reasons, both measured with Swift 6.3.1 on Linux: the
/// thread sanitizer does not see the contended path of `Mutex`, which lives in the runtime, and
/// reports every value behind it as a race; and `Mutex` is slower there.
package final class Guarded<Value>: @unchecked Sendable {
  // Unchecked, because the compiler cannot know that `value` is only touched by `withLock`, which
  // holds the lock. `sending` keeps references to the value from being shared, as in `Mutex`.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private var value: Value

  package init(_ value: consuming sending Value) {
    self.value = value
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    let code = pthread_mutex_init(mutex, nil)
    precondition(code == 0, "the operating system has no more mutexes")
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Runs `body` with the lock held. Locking again inside it deadlocks.
  package func withLock<Result, Failure: Error>(
    _ body: (inout sending Value) throws(Failure) -> sending Result
  ) throws(Failure) -> sending Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }

  /// As `withLock` if nobody holds the lock; nil otherwise.
  package func withLockIfFree<Result, Failure: Error>(
    _ body: (inout sending Value) throws(Failure) -> sending Result
  ) throws(Failure) -> sending Result? {
    guard pthread_mutex_trylock(mutex) == 0 else { return nil }
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}
