import FoundationEssentials
import VecDB

/// What another process asks of a node through the control socket of its database.
package struct NodeRequest: Codable, Sendable {
  package enum Verb: String, Codable, Sendable {
    case status
    case promote
  }

  package var verb: Verb
  package var isPlanned = false
  package var isForced = false

  package init(_ verb: Verb, isPlanned: Bool = false, isForced: Bool = false) {
    self.verb = verb
    self.isPlanned = isPlanned
    self.isForced = isForced
  }

  /// Asks the owner of a database. Throws what the owner throws.
  package func ask<Answer: Decodable>(
    _ database: RemoteDatabase, as type: Answer.Type
  ) async throws -> Answer {
    let text = String(decoding: try JSONEncoder().encode(self), as: UTF8.self)
    return try JSONDecoder().decode(type, from: Data(try await database.node(text).utf8))
  }
}

extension ReplicationNode {
  func answer(_ text: String) async throws -> String {
    let request: NodeRequest
    do { request = try JSONDecoder().decode(NodeRequest.self, from: Data(text.utf8)) } catch {
      throw VecDBError(.invalidArgument, "the node does not know this request")
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let answer =
      switch request.verb {
      case .status: try encoder.encode(await status())
      case .promote:
        try encoder.encode(
          try await promote(planned: request.isPlanned, force: request.isForced))
      }
    return String(decoding: answer, as: UTF8.self)
  }
}
