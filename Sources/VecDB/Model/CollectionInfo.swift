/// Whether an index is built and searched on 8-bit codes or on float32 vectors. With either,
/// distances in results are exact, and records come back bit for bit.
public enum VectorCodes: String, Sendable, Hashable, Codable, CaseIterable {
  /// 8-bit codes as long as measurements say that they order records as the vectors do; float32
  /// vectors otherwise. vecdb measures while the index grows, and switches by itself.
  case automatic
  /// 8-bit codes with one scale for all components: least memory and time. Recall is poor if
  /// components differ in scale or records lie close together.
  case bytes
  /// The float32 vectors.
  case float32
}

/// Parameters of a collection's HNSW index (Malkov and Yashunin, 2018). They are fixed when the
/// collection is created; a rebuild changes them.
public struct IndexOptions: Sendable, Hashable, Codable {
  /// Links of a node in the upper layers; twice as many in layer 0. 4 to 64, default 16.
  public var m: Int
  /// Number of candidates for the links of a new node. 8 to 4,096, default 128.
  public var efConstruction: Int
  /// Whether the graph is built and searched on codes or vectors. Default `automatic`.
  public var codes: VectorCodes

  public init(m: Int = 16, efConstruction: Int = 128, codes: VectorCodes = .automatic) {
    self.m = m
    self.efConstruction = efConstruction
    self.codes = codes
  }

  /// Also reads options that an older version wrote; its indexes have 8-bit codes.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    m = try container.decode(Int.self, forKey: .m)
    efConstruction = try container.decode(Int.self, forKey: .efConstruction)
    codes = try container.decodeIfPresent(VectorCodes.self, forKey: .codes) ?? .bytes
  }
}

/// The definition of a collection, and its number of records.
public struct CollectionInfo: Sendable, Hashable, Codable {
  public var name: String
  public var dimensions: Int
  public var metric: Metric
  public var index: IndexOptions
  /// Live records.
  public var count: Int

  package init(name: String, dimensions: Int, metric: Metric, index: IndexOptions, count: Int) {
    self.name = name
    self.dimensions = dimensions
    self.metric = metric
    self.index = index
    self.count = count
  }
}

/// Counters and digests of one collection.
public struct CollectionStats: Sendable, Hashable, Codable {
  public var name: String
  public var dimensions: Int
  public var metric: Metric
  public var m: Int
  public var efConstruction: Int
  /// The option that you set; see ``IndexOptions/codes``. Nil from an owner of an older version.
  public var codes: VectorCodes?
  /// Present basis of the graph: `bytes` or `float32`, or `none` while there are so few records
  /// that every search compares all of them. Nil from an owner of an older version.
  public var codesInUse: String?
  /// Live records.
  public var count: Int
  /// Slots assigned: live, dead and free.
  public var slots: Int
  /// Slots that the graph covers; the others are in the tail, which every search scans.
  public var graphCount: Int
  /// Slots of replaced or deleted records that maintenance has not freed yet.
  public var dead: Int
  /// Slots that new records will take.
  public var free: Int
  /// Bytes of all index arrays in use.
  public var indexBytes: Int
  /// Hexadecimal digest over keys, metadata and vector bits of live records.
  public var dataDigest: String
  /// Hexadecimal digest of the canonical index arrays; nil unless you ask for it, because it reads
  /// all of them.
  public var graphDigest: String?
}

/// Counters and digests of a database.
public struct DatabaseStats: Sendable, Hashable, Codable {
  public var path: String
  public var databaseID: String
  public var epoch: UInt64
  public var lsn: UInt64
  /// The log's running SHA-256 at `lsn`, hexadecimal: equal LSN and chain mean equal history.
  public var chain: String
  /// Digest over all collections' data digests and names.
  public var dataDigest: String
  /// The LSN of the newest checkpoint; after a crash, vecdb replays the log after it.
  public var checkpointLSN: UInt64
  public var logBytes: Int
  public var packBytes: Int
  /// How much of `packBytes` the newest checkpoint needs; later checkpoints free the rest. Nil from
  /// an owner of an older version.
  public var livePackBytes: Int?
  public var recordsBytes: Int
  /// The kernel set in use: portable, avx2 or avx512.
  public var kernels: String
  public var collections: [CollectionStats]
  /// The last measurement of searches in each collection; a collection is missing if vecdb has not
  /// measured it since the database was opened. Nil from an owner of an older version.
  public var health: [CollectionHealth]?
  /// The repositories to which you back up this database, and how much of its log each has.
  public var archives: [ArchiveStats]
  /// Counters since the database was opened; nil from an owner of an older version.
  public var activity: ActivityStats?
  /// By how much the log's time, which never goes back, is ahead of the system's clock; large if
  /// the clock was wrong for a while. Nil from an owner of an older version.
  public var clockAhead: Duration? { clockAheadMilliseconds.map { Duration.milliseconds($0) } }
  package var clockAheadMilliseconds: Int64?
  /// The replicas for which a write waits; nil from an owner of an older version.
  public var acknowledgement: AcknowledgementInfo?
}

/// The acknowledgement policy in the log. It applies however you open the database.
public struct AcknowledgementInfo: Sendable, Hashable, Codable {
  /// How many of the replicas must have a write on disk; 0 means asynchronous.
  public var needed: Int
  /// The replicas that count, by name.
  public var replicas: [String]
  /// How many batches these may be behind; nil means no limit.
  public var maximumLag: UInt64?
  public var timeout: Duration { .milliseconds(timeoutMilliseconds) }
  package var timeoutMilliseconds: Int
  /// Whether the primary acknowledges a write without them after the timeout.
  public var degrades: Bool
  /// Whether this policy is replacing another one, which still applies.
  public var isChanging: Bool

  static let asynchronous = AcknowledgementInfo(
    needed: 0, replicas: [], maximumLag: nil, timeoutMilliseconds: 0, degrades: false,
    isChanging: false)
}

extension AcknowledgementInfo: CustomStringConvertible {
  public var description: String {
    let change = isChanging ? "; another policy still binds until replicas hold this one" : ""
    guard needed > 0, let maximumLag else { return "asynchronous" + change }
    return "waits for \(needed) of \(replicas.joined(separator: ", "))"
      + (maximumLag > 0 ? ", at most \(maximumLag) batches behind" : "")
      + (degrades ? "; goes on without them after \(timeoutMilliseconds) ms" : "") + change
  }
}
