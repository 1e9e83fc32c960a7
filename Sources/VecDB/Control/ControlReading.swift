import FoundationEssentials
import Glibc
import VecDBBytes

/// A search on the wire. Vectors travel as the bits of their floats, metadata as canonical bytes, so
/// that the peer gets what the owner would have got.
package struct ControlSearch: Codable, Sendable, Hashable {
  var vector: Data
  var k: Int
  /// Nil where the asker names none.
  var efSearch: Int?
  var recall: Double?
  /// As text; see ``Filter``.
  var filter: String?
  var exact: Bool
  var includeMetadata: Bool
  var includeVector: Bool

  init(_ vector: [Float], k: Int, _ options: SearchOptions) {
    self.vector = vector.bits
    self.k = k
    efSearch = options.isEffortGiven ? options.efSearch : nil
    recall = options.recall
    filter = options.filter.map { "\($0)" }
    exact = options.exact
    includeMetadata = options.includeMetadata
    includeVector = options.includeVector
  }

  var options: SearchOptions {
    get throws {
      // Written by the peer from a filter that it had: only the request bounds it.
      let filter = try filter.map {
        try Filter.parse($0, limitBytes: ControlFrame.requestLimitBytes)
      }
      return SearchOptions(
        efSearch: efSearch, recall: recall, filter: filter, exact: exact,
        includeMetadata: includeMetadata, includeVector: includeVector)
    }
  }
}

/// A page of records on the wire, in the order of their keys.
package struct ControlScroll: Codable, Sendable, Hashable {
  /// `next` of the page before.
  var after: String?
  var limit: Int
  /// As text; see ``Filter``.
  var filter: String?

  /// About as many bytes of records are in a page; one record alone may take more.
  static let pageBytes = 8 << 20
}

/// A question for the values of a field on the wire.
package struct ControlFacets: Codable, Sendable, Hashable {
  var field: String
  /// As text; see ``Filter``.
  var filter: String?
  var limit: Int
}

/// A record or a hit on the wire.
package struct ControlRecord: Codable, Sendable, Hashable {
  var key: String
  var distance: Float?
  var vector: Data?
  var metadata: Data?
  var expiryMilliseconds: Int64?
  /// Nil from an older version, as in a record to write.
  var version: UInt64?

  init(_ record: VectorRecord) throws {
    key = record.key
    version = record.version
    expiryMilliseconds = record.expiryMilliseconds
    vector = record.vector.bits
    metadata = Data(try record.metadata.canonicalBytes())
  }

  init(_ hit: Hit) throws {
    key = hit.key
    distance = hit.distance
    vector = hit.vector?.bits
    metadata = try hit.metadata.map { Data(try $0.canonicalBytes()) }
  }

  /// About what it takes as JSON: bytes as base64.
  var sizeBytes: Int {
    2 * key.utf8.count + ((vector?.count ?? 0) + (metadata?.count ?? 0)) * 4 / 3 + 100
  }

  var record: VectorRecord {
    get throws {
      var record = VectorRecord(
        key: key, vector: try vector.map { try Array(bits: $0) } ?? [],
        metadata: try metadata.map { try Metadata(canonicalBytes: Array($0)) } ?? [:])
      record.expiryMilliseconds = expiryMilliseconds
      record.version = version
      return record
    }
  }

  var hit: Hit {
    get throws {
      Hit(
        key: key, distance: distance ?? .nan,
        metadata: try metadata.map { try Metadata(canonicalBytes: Array($0)) },
        vector: try vector.map { try Array(bits: $0) })
    }
  }
}

/// What a search found, without the hits, which travel as records.
package struct ControlSearchResult: Codable, Sendable, Hashable {
  var hits: [ControlRecord]
  var lsn: UInt64
  var efSearch: Int
  var plan: String
  /// Nil from an older version, as the next one.
  var codes: String?
  var warning: String?
  var distances: Int
  var hops: Int
  var matching: Int?
  var selectivity: Double?
  var isFilterCached: Bool

  init(_ result: SearchResult) throws {
    hits = try result.hits.map { try ControlRecord($0) }
    lsn = result.lsn
    efSearch = result.efSearch
    plan = result.plan.rawValue
    codes = result.codes
    warning = result.warning
    distances = result.distances
    hops = result.hops
    matching = result.matching
    selectivity = result.selectivity
    isFilterCached = result.isFilterCached
  }

  var result: SearchResult {
    get throws {
      SearchResult(
        hits: try hits.map { try $0.hit }, lsn: lsn, efSearch: efSearch,
        plan: SearchPlan(rawValue: plan),
        codes: codes ?? "none", warning: warning, distances: distances, hops: hops,
        matching: matching, selectivity: selectivity,
        isFilterCached: isFilterCached)
    }
  }
}

extension [Float] {
  fileprivate var bits: Data {
    var writer = ByteWriter(reservingCapacity: count * 4)
    for value in self { writer.write(value.bitPattern) }
    return Data(writer.bytes)
  }

  fileprivate init(bits: Data) throws {
    guard bits.count % 4 == 0 else {
      throw VecDBError(.invalidArgument, "a vector has \(bits.count) bytes")
    }
    self = try [UInt8](bits).withUnsafeBytes { buffer in
      var reader = ByteReader(buffer)
      return try (0..<buffer.count / 4).map { _ in
        Float(bitPattern: try reader.read("vector"))
      }
    }
  }
}

extension Database {
  /// Answers a look-up or a search of another process, from what is published at that moment.
  func read(_ request: ControlRequest, into answer: inout ControlAnswer) throws {
    let collection = try collection(request.name ?? "")
    if let search = request.search {
      let vector = try [Float](bits: search.vector)
      answer.found = try ControlSearchResult(
        collection.search(vector, k: search.k, options: search.options))
    } else if let scroll = request.scroll {
      try read(scroll, of: collection, request.includeVector ?? true, into: &answer)
    } else if let facets = request.facets {
      let filter = try facets.filter.map {
        try Filter.parse($0, limitBytes: ControlFrame.requestLimitBytes)
      }
      answer.facets = try collection.facets(facets.field, where: filter, limit: facets.limit)
    } else {
      answer.records = try (request.keys ?? []).compactMap { key in
        try collection.get(key, includeVector: request.includeVector ?? true).map {
          try ControlRecord($0)
        }
      }
    }
  }
}

extension Database {
  private func read(
    _ scroll: ControlScroll, of collection: VectorCollection, _ includeVectors: Bool,
    into answer: inout ControlAnswer
  ) throws {
    let filter = try scroll.filter.map {
      try Filter.parse($0, limitBytes: ControlFrame.requestLimitBytes)
    }
    // So many rows are read at a time, whatever is asked for.
    let rowBytes = includeVectors ? collection.dimensions * 4 : 1
    let limit = min(scroll.limit, max(1, ControlScroll.pageBytes / rowBytes))
    let page = try collection.scroll(
      after: scroll.after, limit: limit, filter: filter, includeVectors: includeVectors)
    var records: [ControlRecord] = []
    var bytes = 0
    answer.next = page.next
    for record in page.records {
      let next = try ControlRecord(record)
      bytes += next.sizeBytes
      if bytes > ControlScroll.pageBytes, let last = records.last {
        answer.next = last.key
        break
      }
      records.append(next)
    }
    answer.records = records
  }
}

extension RemoteDatabase {
  /// As `VectorCollection.scroll`; a page may have fewer records than `limit` before the end.
  package func scroll(
    _ collection: String, after cursor: String?, limit: Int, filter: Filter?, includeVectors: Bool
  ) async throws -> RecordPage {
    var request = ControlRequest(.read)
    request.name = collection
    request.scroll = ControlScroll(after: cursor, limit: limit, filter: filter.map { "\($0)" })
    request.includeVector = includeVectors
    request.takesParts = true
    let answer = try await perform(request)
    guard let records = answer.records else {
      throw VecDBError(.inputOutput, "the owner of the database gave an answer of another kind")
    }
    return RecordPage(records: try records.map { try $0.record }, next: answer.next)
  }

  /// As `VectorCollection.facets`.
  package func facets(
    _ field: String, where filter: Filter?, limit: Int, in collection: String
  ) async throws -> FacetResult {
    var request = ControlRequest(.read)
    request.name = collection
    request.facets = ControlFacets(field: field, filter: filter.map { "\($0)" }, limit: limit)
    guard let facets = try await perform(request).facets else {
      throw VecDBError(
        .inputOutput, "the owner of the database gave an answer of another kind",
        remedy: "Run the same version of vecdb in both processes.")
    }
    return facets
  }

  /// The record with this key; nil if there is none.
  package func get(
    _ key: String, in collection: String, includeVector: Bool = true
  ) async throws -> VectorRecord? {
    var request = ControlRequest(.read)
    request.name = collection
    request.keys = [key]
    request.includeVector = includeVector
    request.takesParts = true
    return try await perform(request).records?.first?.record
  }

  /// As `VectorCollection.search`, done by the owner on what it has published.
  package func search(
    _ vector: [Float], k: Int, options: SearchOptions, in collection: String
  ) async throws -> SearchResult {
    var request = ControlRequest(.read)
    request.name = collection
    request.search = ControlSearch(vector, k: k, options)
    request.takesParts = true
    guard let found = try await perform(request).found else {
      throw VecDBError(.inputOutput, "the owner of the database gave an answer of another kind")
    }
    return try found.result
  }
}
