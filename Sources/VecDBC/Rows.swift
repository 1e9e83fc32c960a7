import CVecDB
import Glibc
import VecDB

/// Collects rows, and hands them over as one object that C code frees.
struct Rows {
  private let dimensions: Int
  private let fields: UInt32
  private var keys = TextList()
  private var metadata = TextList()
  private var vectors: [Float] = []
  private var distances: [Float]?
  private var queryOffsets: [UInt64]?
  private var found: [UInt8]?
  private var next: String?
  private var warning: String?
  private var lsn: UInt64?
  private var groups: [MetadataValue]?
  private var versions: [UInt64]?

  /// The fields that a caller may ask for.
  static let metadataField = UInt32(VECDB_METADATA)
  static let vectorField = UInt32(VECDB_VECTORS)

  init(dimensions: Int, fields: UInt32) throws {
    guard fields & ~(Self.metadataField | Self.vectorField) == 0 else {
      throw Failure.argument(
        "\(fields) are no fields", at: "fields", remedy: "Use VECDB_METADATA and VECDB_VECTORS.")
    }
    self.dimensions = dimensions
    self.fields = fields
  }

  var hasMetadata: Bool { fields & Self.metadataField != 0 }
  var hasVectors: Bool { fields & Self.vectorField != 0 }

  private mutating func add(_ key: String, _ metadata: Metadata?, _ vector: [Float]?) throws {
    keys.add(key)
    if hasMetadata { self.metadata.add(metadata?.description ?? "") }
    if hasVectors {
      guard let vector, vector.count == dimensions else {
        // The row of a record that is not there.
        vectors.append(contentsOf: repeatElement(0, count: dimensions))
        return
      }
      vectors.append(contentsOf: vector)
    }
  }

  /// The answer to the next query.
  mutating func add(_ result: SearchResult) throws {
    try add(result.hits)
    warning = warning ?? result.warning
    lsn = min(lsn ?? result.lsn, result.lsn)
  }

  private mutating func add(_ hits: [Hit]) throws {
    for hit in hits {
      try add(hit.key, hit.metadata, hit.vector)
      distances?.append(hit.distance)
    }
    queryOffsets?.append(UInt64(keys.count))
  }

  /// The answer to a search in groups: a query's place for each group.
  mutating func add(_ result: GroupedSearchResult) throws {
    beginSearch(result.groups.count)
    for group in result.groups { try add(group.hits) }
    groups = result.groups.map(\.value)
    warning = result.warning
    lsn = result.lsn
  }

  mutating func beginSearch(_ count: Int) {
    distances = []
    queryOffsets = [0]
    queryOffsets?.reserveCapacity(count + 1)
  }

  /// The record of the next key that was asked for.
  mutating func add(_ record: VectorRecord?) throws {
    try add(record?.key ?? "", record?.metadata, record?.vector)
    versions?.append(record?.version ?? 0)
    found?.append(record == nil ? 0 : 1)
  }

  mutating func beginGet(_ count: Int) {
    versions = []
    found = []
    found?.reserveCapacity(count)
  }

  mutating func add(_ page: RecordPage) throws {
    versions = page.records.map { $0.version ?? 0 }
    for record in page.records { try add(record.key, record.metadata, record.vector) }
    next = page.next
  }

  /// - Throws: where there is no memory; nothing is kept then.
  func store(_ result: UnsafeMutablePointer<UnsafeMutablePointer<vecdb_rows>?>?) throws {
    guard let result else { return }
    guard let bytes = calloc(1, MemoryLayout<vecdb_rows>.size) else { throw Memory.exhausted }
    let rows = bytes.bindMemory(to: vecdb_rows.self, capacity: 1)
    do { try fill(&rows.pointee) } catch {
      Self.release(rows)
      throw error
    }
    result.pointee = rows
  }

  private func fill(_ rows: inout vecdb_rows) throws {
    rows.count = keys.count
    rows.dimensions = dimensions
    rows.keys = UnsafePointer(try Memory.array(keys.bytes))
    rows.key_offsets = UnsafePointer(try Memory.array(keys.offsets))
    if hasMetadata {
      rows.metadata = UnsafePointer(try Memory.array(metadata.bytes))
      rows.metadata_offsets = UnsafePointer(try Memory.array(metadata.offsets))
    }
    if hasVectors { rows.vectors = UnsafePointer(try Memory.array(vectors)) }
    if let distances { rows.distances = UnsafePointer(try Memory.array(distances)) }
    if let queryOffsets {
      rows.queries = queryOffsets.count - 1
      rows.query_offsets = UnsafePointer(try Memory.array(queryOffsets))
    }
    if let found { rows.found = UnsafePointer(try Memory.array(found)) }
    if let next {
      rows.next = UnsafePointer(Memory.text(next))
      rows.next_length = next.utf8.count
    }
    if let warning { rows.warning = UnsafePointer(Memory.text(warning)) }
    rows.lsn = lsn ?? 0
    if let versions { rows.versions = UnsafePointer(try Memory.array(versions)) }
    if let groups {
      let text = MetadataValue.array(groups).description
      rows.groups = UnsafePointer(Memory.text(text))
      rows.groups_length = text.utf8.count
    }
  }

  static func release(_ rows: UnsafeMutablePointer<vecdb_rows>) {
    let all = rows.pointee
    let parts: [UnsafeRawPointer?] = [
      UnsafeRawPointer(all.keys), UnsafeRawPointer(all.key_offsets), UnsafeRawPointer(all.metadata),
      UnsafeRawPointer(all.metadata_offsets), UnsafeRawPointer(all.vectors),
      UnsafeRawPointer(all.distances), UnsafeRawPointer(all.query_offsets),
      UnsafeRawPointer(all.found), UnsafeRawPointer(all.next), UnsafeRawPointer(all.warning),
      UnsafeRawPointer(all.groups), UnsafeRawPointer(all.versions),
    ]
    for part in parts { free(UnsafeMutableRawPointer(mutating: part)) }
    free(rows)
  }
}

/// Texts as one run of bytes and offsets into it.
private struct TextList {
  private(set) var bytes: [CChar] = []
  private(set) var offsets: [UInt64] = [0]

  var count: Int { offsets.count - 1 }

  mutating func add(_ text: String) {
    var text = text
    text.withUTF8 { utf8 in
      utf8.withMemoryRebound(to: CChar.self) { bytes.append(contentsOf: $0) }
    }
    offsets.append(UInt64(bytes.count))
  }
}
