// The functions have the names of the header.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CVecDB
import VecDB

extension UnsafeMutablePointer where Pointee == vecdb_written {
  fileprivate func store(_ receipt: Receipt, _ fill: (inout vecdb_written) -> Void = { _ in }) {
    var written = vecdb_written()
    written.epoch = receipt.epoch
    written.lsn = receipt.lsn
    fill(&written)
    pointee = written
  }
}

@c @implementation
public func vecdb_upsert(
  _ collection: vecdb_collection, _ count: Int, _ keys: UnsafePointer<CChar>?, _ keysLength: Int,
  _ keyOffsets: UnsafePointer<UInt64>?, _ vectors: UnsafeRawPointer?, _ type: vecdb_type,
  _ columns: Int, _ metadata: UnsafePointer<CChar>?, _ metadataLength: Int,
  _ metadataOffsets: UnsafePointer<UInt64>?, _ written: UnsafeMutablePointer<vecdb_written>?,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    let matrix = try Matrix(
      vectors, type, count: count, columns: columns, dimensions: open.dimensions, "vectors")
    let keys = try Inputs.texts(count, keys, keysLength, keyOffsets, "keys")
    var texts: [String]?
    if metadataOffsets != nil || metadataLength != 0 {
      texts = try Inputs.texts(count, metadata, metadataLength, metadataOffsets, "metadata")
    }
    let records = try keys.enumerated().map { place, key in
      VectorRecord(
        key: key, vector: matrix.row(place),
        metadata: try texts.map { try Inputs.metadata($0[place], ofKey: key) } ?? [:])
    }
    let result = try Call.wait { try await open.upsert(records) }
    written?.store(result.receipt) {
      $0.inserted = UInt64(result.inserted)
      $0.updated = UInt64(result.updated)
      $0.unchanged = UInt64(result.unchanged)
      $0.batches = UInt64(result.batches)
    }
  }
}

@c @implementation
public func vecdb_delete(
  _ collection: vecdb_collection, _ count: Int, _ keys: UnsafePointer<CChar>?, _ keysLength: Int,
  _ keyOffsets: UnsafePointer<UInt64>?, _ written: UnsafeMutablePointer<vecdb_written>?,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    let keys = try Inputs.texts(count, keys, keysLength, keyOffsets, "keys")
    let result = try Call.wait { try await open.delete(keys) }
    written?.store(result.receipt) { $0.deleted = UInt64(result.deleted) }
  }
}

@c @implementation
public func vecdb_delete_where(
  _ collection: vecdb_collection, _ filter: UnsafePointer<CChar>?, _ filterLength: Int,
  _ written: UnsafeMutablePointer<vecdb_written>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    guard let filter = try Inputs.filter(filter, filterLength) else {
      throw Failure.argument(
        "the filter is NULL", at: "filter", remedy: "To delete all records, pass: true")
    }
    let result = try Call.wait { try await open.delete(where: filter) }
    written?.store(result.receipt) { $0.deleted = UInt64(result.deleted) }
  }
}

@c @implementation
public func vecdb_get(
  _ collection: vecdb_collection, _ count: Int, _ keys: UnsafePointer<CChar>?, _ keysLength: Int,
  _ keyOffsets: UnsafePointer<UInt64>?, _ fields: UInt32,
  _ rows: UnsafeMutablePointer<UnsafeMutablePointer<vecdb_rows>?>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    let keys = try Inputs.texts(count, keys, keysLength, keyOffsets, "keys")
    var found = try Rows(dimensions: open.dimensions, fields: fields)
    found.beginGet(keys.count)
    for key in keys { try found.add(try open.get(key, includeVector: found.hasVectors)) }
    try found.store(rows)
  }
}

@c @implementation
public func vecdb_scroll(
  _ collection: vecdb_collection, _ cursor: UnsafePointer<CChar>?, _ cursorLength: Int,
  _ limit: Int, _ filter: UnsafePointer<CChar>?, _ filterLength: Int, _ fields: UInt32,
  _ rows: UnsafeMutablePointer<UnsafeMutablePointer<vecdb_rows>?>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    var found = try Rows(dimensions: open.dimensions, fields: fields)
    let page = try open.scroll(
      after: try Inputs.optionalText(cursor, cursorLength, "cursor"), limit: limit,
      filter: try Inputs.filter(filter, filterLength), includeVectors: found.hasVectors)
    try found.add(page)
    try found.store(rows)
  }
}

@c @implementation
public func vecdb_count(
  _ collection: vecdb_collection, _ filter: UnsafePointer<CChar>?, _ filterLength: Int,
  _ count: UnsafeMutablePointer<UInt64>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    guard let filter = try Inputs.filter(filter, filterLength) else {
      // Throws where the collection is closed, which its counter does not.
      _ = try open.rebuildStatus()
      count?.pointee = UInt64(open.count)
      return
    }
    let found = try open.count(where: filter)
    count?.pointee = UInt64(found)
  }
}
