/// What the process that has a database open says first on a connection.
package struct ControlHello: Codable, Sendable, Hashable {
  package var version: Int
  package var databaseID: String
  package var processID: Int32
  /// Whether the owner is a command that will soon be done; those who need the database to
  /// themselves wait for it.
  package var isBrief: Bool?
}

/// What another process asks of the one that has the database open. One at a time on a
/// connection; what it started ends with the connection.
package struct ControlRequest: Codable, Sendable, Hashable {
  package enum Verb: String, Codable, Sendable {
    case status
    case stats
    case checkpoint
    case backup
    case archive
    case forgetArchive
    case restoreCollection
    case check
    case mark
    case removeMark
    case marks
    case rebuild
    case read
    case write
    case create
    case drop
    /// Something for the replication layer of the owner.
    case node
  }

  package var verb: Verb
  /// backup and others: the absolute path of the repository.
  package var repository: String?
  /// archive: goes on until the connection ends, with this between two passes; without it, one pass.
  package var intervalMilliseconds: Int?
  /// restoreCollection: the name of the new collection; `name` is that in the repository.
  package var newName: String?
  /// restoreCollection: at most one of these.
  package var lsn: UInt64?
  package var timeMilliseconds: Int64?
  package var markName: String?
  /// backup: see `BackupOptions`.
  package var bytesPerSecond: Int?
  package var repair: Bool?
  /// stats: whether graph digests are computed.
  package var graphDigests: Bool?
  /// mark, removeMark: the name. read: the collection's.
  package var name: String?
  /// check: whether recall is measured as well.
  package var recall: Bool?
  /// read: the keys to look up, and whether with their vectors; or a search.
  package var keys: [String]?
  package var includeVector: Bool?
  package var search: ControlSearch?
  /// read: records in the order of their keys.
  package var scroll: ControlScroll?
  /// read: counts of a field's values.
  package var facets: ControlFacets?
  /// read: whether the answer may come in parts. What is long comes in no other way.
  package var takesParts: Bool?
  /// write: what is done to the collection `name`.
  package var write: ControlWrite?
  /// create: the collection to make; its count is not used. drop: `name` is the collection's.
  package var definition: CollectionInfo?
  /// node: what is asked, in a form that the replication layer knows.
  package var node: String?

  package var rebuild: RebuildRequest?

  package init(_ verb: Verb) { self.verb = verb }
}

/// A message from the owner of the database: exactly one field is there, but for `canary`, which
/// accompanies `check`.
///
/// Any number of `progress` comes before the answer proper; some are left out where the peer reads
/// slowly.
package struct ControlAnswer: Codable, Sendable {
  package var hello: ControlHello?
  package var progress: WorkProgress?
  package var error: ControlFailure?
  package var status: ControlStatus?
  package var stats: DatabaseStats?
  package var checkpoint: CheckpointReport?
  package var backup: BackupReport?
  package var check: CheckReport?
  package var canary: CanaryReport?
  package var health: [CollectionHealth]?
  package var mark: MarkInfo?
  package var marks: [MarkInfo]?
  package var receipt: Receipt?
  package var rebuild: RebuildAnswer?
  package var records: [ControlRecord]?
  package var found: ControlSearchResult?
  package var facets: FacetResult?
  package var upserted: UpsertResult?
  package var deleted: DeleteResult?
  package var updated: UpdateResult?
  package var archive: ArchiveReport?
  package var collection: CollectionInfo?
  package var node: String?
  /// Where the next page of records begins; nil at the end.
  package var next: String?
  /// The records and hits here are not the last ones: more come in the next answer.
  package var more: Bool?

  package init() {}
}

extension ControlAnswer {
  /// About as many bytes of JSON are in a part.
  static let partBytes = 1 << 20

  /// The answer in parts, each with some of its records or hits.
  func parts() -> [ControlAnswer] {
    if let records { return Self.cut(records).map { part(records: $0, hits: nil) } + [last] }
    if let found { return Self.cut(found.hits).map { part(records: nil, hits: $0) } + [last] }
    return [self]
  }

  /// What ends an answer in parts.
  private var last: ControlAnswer {
    var answer = self
    answer.records = records.map { _ in [] }
    answer.found?.hits = []
    return answer
  }

  private func part(records: [ControlRecord]?, hits: [ControlRecord]?) -> ControlAnswer {
    var answer = ControlAnswer()
    answer.more = true
    answer.records = records ?? hits
    return answer
  }

  private static func cut(_ records: [ControlRecord]) -> [[ControlRecord]] {
    var parts: [[ControlRecord]] = []
    var bytes = partBytes
    for record in records {
      let size = record.sizeBytes
      if bytes + size > partBytes {
        parts.append([])
        bytes = 0
      }
      parts[parts.count - 1].append(record)
      bytes += size
    }
    return parts
  }

  /// Puts the records of earlier parts before those of the last one.
  mutating func prepend(_ earlier: [ControlRecord]) {
    guard !earlier.isEmpty else { return }
    if let found {
      self.found?.hits = earlier + found.hits
    } else {
      records = earlier + (records ?? [])
    }
  }
}

/// What the owner is and does.
package struct ControlStatus: Codable, Sendable, Hashable {
  package var processID: Int32
  package var databaseID: String
  package var epoch: UInt64
  package var lsn: UInt64
  /// Requests of control connections that are under way, this one included.
  package var requests: Int
}

/// A `VecDBError` on the wire.
package struct ControlFailure: Codable, Sendable, Hashable {
  package var code: String
  package var message: String
  package var location: String
  package var remedy: String

  init(_ error: VecDBError) {
    code = error.code.rawValue
    message = error.message
    location = error.location
    remedy = error.remedy
  }

  /// The error as it was thrown; a code that this program does not know becomes `inputOutput`.
  var error: VecDBError {
    VecDBError(
      VecDBError.Code(rawValue: code), message, at: location, remedy: remedy)
  }
}

extension ControlAnswer {
  init(error: any Error) {
    self.init()
    self.error = ControlFailure(VecDBError(wrapping: error))
  }
}
