// The functions have the names of the header.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CVecDB
import VecDB

/// What all kinds of searches read from their options.
private struct Asked {
  let k: Int
  let threads: Int
  let search: SearchOptions
  /// Where the answer goes.
  var rows: Rows

  init(_ options: UnsafePointer<vecdb_search_options>?, dimensions: Int) throws {
    guard let options else { throw Failure.argument("the options are NULL", at: "options") }
    // Versions of the interface before 1.1 end before `threads`; later ones have more behind it.
    let oldest = MemoryLayout<vecdb_search_options>.offset(of: \.threads) ?? 0
    let size = options.pointee.size
    guard size >= oldest else {
      throw Failure.argument(
        "the options have a size of \(size)", at: "options.size",
        remedy: "Set it to sizeof(vecdb_search_options).")
    }
    var asked = vecdb_search_options()
    withUnsafeMutableBytes(of: &asked) {
      $0.copyMemory(
        from: UnsafeRawBufferPointer(start: options, count: min(size, $0.count)))
    }
    rows = try Rows(dimensions: dimensions, fields: asked.fields)
    var search = SearchOptions(
      efSearch: asked.ef == 0 ? nil : asked.ef, recall: asked.recall == 0 ? nil : asked.recall,
      filter: try Inputs.filter(asked.filter, asked.filter_length), exact: asked.exact != 0)
    search.includeMetadata = rows.hasMetadata
    search.includeVector = rows.hasVectors
    self.search = search
    k = asked.k
    threads = asked.threads
  }
}

@c @implementation
public func vecdb_search(
  _ collection: vecdb_collection, _ count: Int, _ queries: UnsafeRawPointer?, _ type: vecdb_type,
  _ columns: Int, _ options: UnsafePointer<vecdb_search_options>?,
  _ rows: UnsafeMutablePointer<UnsafeMutablePointer<vecdb_rows>?>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    var asked = try Asked(options, dimensions: open.dimensions)
    let matrix = try Matrix(
      queries, type, count: count, columns: columns, dimensions: open.dimensions, "queries")
    asked.rows.beginSearch(count)
    var hook = WaitHookTimer()
    // With threads, the hook is asked after a part in which each of them has some work.
    let part = asked.threads > 1 ? min(asked.threads, 1_024) * 64 : 1
    for first in stride(from: 0, to: count, by: part) {
      do {
        if asked.threads > 1 {
          let queries = (first..<min(count, first + part)).map { matrix.row($0) }
          let results = try open.search(
            batch: queries, k: asked.k, options: asked.search, threads: asked.threads)
          for result in results { try asked.rows.add(result) }
        } else {
          let result = try matrix.withRow(first) {
            try open.search($0, k: asked.k, options: asked.search)
          }
          try asked.rows.add(result)
        }
      } catch let error as VecDBError
        where error.location == "query" && count > 1 && asked.threads <= 1
      {
        throw VecDBError(error.code, error.message, at: "query \(first)", remedy: error.remedy)
      }
      try hook.check()
    }
    try asked.rows.store(rows)
  }
}

/// A search with one vector that is more than the nearest k.
private func searchOne(
  _ collection: vecdb_collection, _ query: UnsafeRawPointer?, _ type: vecdb_type, _ columns: Int,
  _ options: UnsafePointer<vecdb_search_options>?,
  _ rows: UnsafeMutablePointer<UnsafeMutablePointer<vecdb_rows>?>?, _ error: ErrorResult?,
  _ body: (VectorCollection, [Float], inout Asked) throws -> Void
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    var asked = try Asked(options, dimensions: open.dimensions)
    let matrix = try Matrix(
      query, type, count: 1, columns: columns, dimensions: open.dimensions, "query")
    try body(open, matrix.row(0), &asked)
    try asked.rows.store(rows)
  }
}

@c @implementation
public func vecdb_search_diverse(
  _ collection: vecdb_collection, _ query: UnsafeRawPointer?, _ type: vecdb_type, _ columns: Int,
  _ options: UnsafePointer<vecdb_search_options>?, _ lambda: Double, _ candidates: Int,
  _ rows: UnsafeMutablePointer<UnsafeMutablePointer<vecdb_rows>?>?, _ error: ErrorResult?
) -> vecdb_code {
  searchOne(collection, query, type, columns, options, rows, error) { open, query, asked in
    let result = try open.search(
      query, k: asked.k, lambda: lambda, candidates: candidates == 0 ? nil : candidates,
      options: asked.search)
    asked.rows.beginSearch(1)
    try asked.rows.add(result)
  }
}

@c @implementation
public func vecdb_search_within(
  _ collection: vecdb_collection, _ query: UnsafeRawPointer?, _ type: vecdb_type, _ columns: Int,
  _ options: UnsafePointer<vecdb_search_options>?, _ distance: Float,
  _ rows: UnsafeMutablePointer<UnsafeMutablePointer<vecdb_rows>?>?, _ error: ErrorResult?
) -> vecdb_code {
  searchOne(collection, query, type, columns, options, rows, error) { open, query, asked in
    let result = try open.search(
      query, within: distance, limit: asked.k == 0 ? nil : asked.k, options: asked.search)
    asked.rows.beginSearch(1)
    try asked.rows.add(result)
  }
}

@c @implementation
public func vecdb_search_grouped(
  _ collection: vecdb_collection, _ query: UnsafeRawPointer?, _ type: vecdb_type, _ columns: Int,
  _ options: UnsafePointer<vecdb_search_options>?, _ field: UnsafePointer<CChar>?,
  _ fieldLength: Int, _ perGroup: Int,
  _ rows: UnsafeMutablePointer<UnsafeMutablePointer<vecdb_rows>?>?, _ error: ErrorResult?
) -> vecdb_code {
  searchOne(collection, query, type, columns, options, rows, error) { open, query, asked in
    let result = try open.search(
      query, groupedBy: try Inputs.text(field, fieldLength, "field"), groups: asked.k,
      perGroup: perGroup, options: asked.search)
    try asked.rows.add(result)
  }
}

@c @implementation
public func vecdb_search_near(
  _ collection: vecdb_collection, _ count: Int, _ keys: UnsafePointer<CChar>?, _ keysLength: Int,
  _ keyOffsets: UnsafePointer<UInt64>?, _ awayCount: Int, _ awayKeys: UnsafePointer<CChar>?,
  _ awayKeysLength: Int, _ awayKeyOffsets: UnsafePointer<UInt64>?,
  _ options: UnsafePointer<vecdb_search_options>?,
  _ rows: UnsafeMutablePointer<UnsafeMutablePointer<vecdb_rows>?>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    var asked = try Asked(options, dimensions: open.dimensions)
    let keys = try Inputs.texts(count, keys, keysLength, keyOffsets, "keys")
    let others = try Inputs.texts(
      awayCount, awayKeys, awayKeysLength, awayKeyOffsets, "away keys")
    let result = try open.search(near: keys, awayFrom: others, k: asked.k, options: asked.search)
    asked.rows.beginSearch(1)
    try asked.rows.add(result)
    try asked.rows.store(rows)
  }
}
