import Glibc
import Synchronization

/// Ctrl-C (SIGINT) and SIGTERM, for work that can stop at a good moment: the first asks for that,
/// the second ends the process at once, as it would have without us.
enum Interruption {
  private static let flag = Atomic<Bool>(false)
  /// What the command does.
  static let work = Mutex<Task<Void, any Error>?>(nil)

  /// Whether the work was asked to stop.
  static var requested: Bool { flag.load(ordering: .relaxed) }

  /// From here on the first signal cancels what the command does, which ends soon and puts away what
  /// it has made. For verbs that heed cancellation.
  static func cancels() {
    install()
    Task {
      while !requested { try await Task.sleep(nanoseconds: 20_000_000) }
      work.withLock { $0?.cancel() }
    }
  }

  /// From here on the first signal only sets `requested`.
  static func install() {
    // Touched before the handler can run, since lazy initialisation is not safe in a handler.
    flag.store(false, ordering: .relaxed)
    for number in [SIGINT, SIGTERM] {
      signal(number) { number in
        Interruption.flag.store(true, ordering: .relaxed)
        signal(number, SIG_DFL)
      }
    }
  }
}
