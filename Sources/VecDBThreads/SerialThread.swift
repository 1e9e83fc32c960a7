import Dispatch
import VecDBBytes
import VecDBFiles

/// A thread that runs what it is given, one after the other, in order.
///
/// Like a serial dispatch queue, but with a thread of its own: the threads of a queue's pool have the
/// priority of whoever made them need one more, which may have been the thread of a backup or of a
/// rebuild.
package final class SerialThread: Sendable {
  private struct State {
    var work: [@Sendable () -> Void] = []
    var isStopped = false
  }

  /// What the thread keeps alive; not the owner.
  private final class Inbox: Sendable {
    let state = Guarded(State())
    let arrivals = DispatchSemaphore(value: 0)

    func run() {
      while true {
        arrivals.wait()
        let (work, isStopped) = state.withLock { state in
          defer { state.work = [] }
          return (state.work, state.isStopped)
        }
        for body in work { body() }
        if isStopped, work.isEmpty { return }
      }
    }
  }

  private let inbox = Inbox()

  package init(name: String) {
    LowPriorityThread.serve(name) { [inbox] in inbox.run() }
  }

  /// What was given before still runs; then the thread ends.
  deinit {
    inbox.state.withLock { $0.isStopped = true }
    inbox.arrivals.signal()
  }

  package func async(_ body: @escaping @Sendable () -> Void) {
    inbox.state.withLock { $0.work.append(body) }
    inbox.arrivals.signal()
  }

  /// Runs `body` here and returns when it has run. Not to be called on the thread itself.
  package func wait(for body: @escaping @Sendable () -> Void) {
    let done = DispatchSemaphore(value: 0)
    async {
      body()
      done.signal()
    }
    done.wait()
  }
}
