// The functions have the names of the header.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CVecDB
import VecDB

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

@c @implementation
public func vecdb_facets(
  _ collection: vecdb_collection, _ field: UnsafePointer<CChar>?, _ fieldLength: Int,
  _ filter: UnsafePointer<CChar>?, _ filterLength: Int, _ limit: Int, _ json: TextResult?,
  _ length: UnsafeMutablePointer<Int>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    let found = try open.facets(
      try Inputs.text(field, fieldLength, "field"), where: try Inputs.filter(filter, filterLength),
      limit: limit)
    try Memory.store(found, json, length)
  }
}
