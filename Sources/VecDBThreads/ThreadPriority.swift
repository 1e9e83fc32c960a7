import Glibc

/// What the scheduler is told of a thread.
package enum ThreadPriority {
  /// Gives the calling thread a smaller share of the processor, the least by default, and lets any
  /// ordinary thread that wakes up take the processor from it at once.
  ///
  /// By default the scheduler of Linux lets a turn of 2 to 4 ms end first, also one of a thread with
  /// the least share, and a writer that comes back from a sync would lose that much every time. A
  /// thread with shorter turns need not wait for one with longer turns, so this one gets the longest.
  /// The idle policy would yield as quickly, but it gives so little on a busy machine that a backup
  /// would never end, and without privileges no thread leaves it.
  package static func yieldToOthers(niceness: Int32 = 19) {
    // On Linux this is the nice value of the calling thread alone.
    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness)
    // Best effort: kernels before 6.12 ignore the length of a turn.
    var attributes = Attributes(niceness: niceness, turnNanoseconds: longestTurnNanoseconds)
    withUnsafeMutableBytes(of: &attributes) { bytes in
      guard let address = bytes.baseAddress else { return }
      _ = systemCall?(systemCallNumber, 0, address, 0)
    }
  }

  private static let longestTurnNanoseconds: UInt64 = 100_000_000

  /// What top and perf show of the calling thread; at most 15 bytes.
  package static func setName(_ name: String) { _ = setThreadName?(pthread_self(), name) }

  /// `struct sched_attr` of sched_setattr(2), in its first version; policy 0 is `SCHED_OTHER`.
  private struct Attributes {
    var sizeBytes: UInt32 = 48
    var policy: UInt32 = 0
    var flags: UInt64 = 0
    var niceness: Int32
    var realtimePriority: UInt32 = 0
    var turnNanoseconds: UInt64
    var deadlineNanoseconds: UInt64 = 0
    var periodNanoseconds: UInt64 = 0
  }
}

#if arch(x86_64)
  private let systemCallNumber = 314
#else
  private let systemCallNumber = 274
#endif

private typealias SystemCall = @convention(c) (Int, Int, UnsafeMutableRawPointer, Int) -> Int

/// `syscall` of the C library, which has no function for this call before version 2.41.
private let systemCall: SystemCall? = dlsym(nil, "syscall").map {
  unsafeBitCast($0, to: SystemCall.self)
}

private typealias SetThreadName = @convention(c) (pthread_t, UnsafePointer<CChar>) -> Int32

/// `pthread_setname_np`, an extension that the Swift module of glibc does not declare.
private let setThreadName: SetThreadName? = dlsym(nil, "pthread_setname_np").map {
  unsafeBitCast($0, to: SetThreadName.self)
}
