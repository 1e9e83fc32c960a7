import Foundation
import Testing
import VecDB
import VecDBReplication

/// A policy that nobody could read back from the log is refused before it is logged.
@Suite struct OptionLimitsTests {
  @Test(arguments: [
    (String(repeating: "a", count: 256), 1_000), (String(repeating: "é", count: 128), 1_000),
    ("", 1_000), ("b", Int.max), ("b", Int(UInt32.max) + 1), ("b", -1),
  ])
  func namesAndTimesBeyondTheFormatAreRefused(name: String, timeout: Int) async throws {
    let path = NSTemporaryDirectory() + "vecdb-options-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try await Database.open(at: path).close()
    var options = ReplicationOptions(
      name: "node", listen: NodeAddress(host: "127.0.0.1", port: 0), peers: [],
      security: .insecureLoopback,
      acknowledgement: AcknowledgementOptions(replicas: [name], timeout: .milliseconds(timeout)))
    options.logger.logLevel = .critical
    let refused = options
    await #expect(throws: VecDBError.self) {
      try await ReplicationNode.serve(path, options: refused).stop()
    }
    let database = try await Database.open(at: path)
    try await database.createCollection("c", dimensions: 2, metric: .l2)
    try await database.close()
  }
}
