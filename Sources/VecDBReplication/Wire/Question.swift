import Dispatch
import VecDBReplicationProtocol

/// Asks one peer one thing, and takes the first answer.
final class Question: WireConnectionDelegate, @unchecked Sendable {
  private let connection: WireConnection
  private var continuation: CheckedContinuation<Message?, Never>?

  init(_ connection: WireConnection) { self.connection = connection }

  /// Nil if there is none in time.
  func ask(_ message: Message, timeoutMilliseconds: Int) async -> Message? {
    await withCheckedContinuation { continuation in
      connection.queue.async { [self] in
        self.continuation = continuation
        connection.delegate = self
        connection.send(message)
      }
      connection.queue.asyncAfter(deadline: .now() + .milliseconds(timeoutMilliseconds)) {
        self.connection.close("no answer in time")
      }
    }
  }

  func received(_ message: Message, on connection: WireConnection) {
    // Somebody else's business.
    if case .withdraw = message { return }
    finish(message)
    connection.close("answered")
  }

  func closed(_ connection: WireConnection, reason: String) { finish(nil) }

  private func finish(_ message: Message?) {
    continuation?.resume(returning: message)
    continuation = nil
  }
}
