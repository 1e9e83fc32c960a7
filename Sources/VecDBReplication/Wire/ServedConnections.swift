import Logging
import VecDBBytes
import VecDBReplicationProtocol

/// The connections of those who follow a node, and what became of those who were not let in.
///
/// What always holds:
/// - There are `maximum` connections at most.
/// - A connection has one session, which goes when the connection ends.
/// - Whoever is not let in is counted, and said in the log: the first one at once, and then one line
///   in `quietMilliseconds` at most, with their number.
final class ServedConnections {
  struct Entry {
    let connection: WireConnection
    var session: PrimarySession
    /// The peer has said something that belongs here.
    var hasSpoken = false
  }

  static let quietMilliseconds: UInt64 = 10_000

  private let maximum: Int
  private let logger: Logger
  private var entries: [ObjectIdentifier: Entry] = [:]
  /// Peers that were not let in, and why the last one was not.
  private(set) var refusals = (count: 0, last: String?.none)
  private var saidRefusals = (count: 0, at: UInt64(0))

  init(maximum: Int, logger: Logger) {
    self.maximum = maximum
    self.logger = logger
  }

  /// Takes a connection in; one that finds no room is told so.
  func accept(_ connection: WireConnection, _ session: PrimarySession) -> Bool {
    guard entries.count < maximum else {
      connection.send(.refuse(.init(.overloaded, "\(entries.count) connections are open")))
      connection.close("too many connections")
      return false
    }
    entries[ObjectIdentifier(connection)] = Entry(connection: connection, session: session)
    return true
  }

  subscript(_ connection: WireConnection) -> Entry? {
    get { entries[ObjectIdentifier(connection)] }
    set { entries[ObjectIdentifier(connection)] = newValue }
  }

  func remove(_ connection: WireConnection) -> Entry? {
    entries.removeValue(forKey: ObjectIdentifier(connection))
  }

  var all: [Entry] { Array(entries.values) }

  /// What all of those that are streamed to hold durably; nil if there is nobody.
  var leastDurable: UInt64? {
    entries.values.filter { $0.session.state == .streaming }.map(\.session.progress.durable).min()
  }

  /// Who else is connected.
  func sessions(beside connection: WireConnection) -> [PeerNames.Session] {
    entries.values.filter { $0.connection !== connection && !$0.session.name.isEmpty }.map {
      PeerNames.Session(
        name: $0.session.name, nodeID: $0.session.nodeID,
        isStreaming: $0.session.state == .streaming, heard: $0.session.heard)
    }
  }

  func note(digest: Digest, at lsn: UInt64) {
    for key in entries.keys { entries[key]?.session.note(digest: digest, at: lsn) }
  }

  /// Hangs up on those for whom it is asked.
  func close(_ reason: String, where isMeant: (PrimarySession) -> Bool = { _ in true }) {
    for entry in entries.values where isMeant(entry.session) { entry.connection.close(reason) }
  }

  func refused(_ connection: WireConnection, _ reason: String, now: UInt64) {
    self[connection]?.hasSpoken = true
    let text = "\(connection.peer): \(reason)"
    refusals = (refusals.count + 1, text)
    saidRefusals.count += 1
    guard saidRefusals.at == 0 || now > saidRefusals.at + Self.quietMilliseconds else { return }
    logger.info(
      "refused a peer", metadata: ["reason": "\(text)", "count": "\(saidRefusals.count)"])
    saidRefusals = (0, now)
  }
}
