// The functions have the names of the header.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CVecDB
import VecDB

/// What a handle tells of its collection.
private struct CollectionFacts: Encodable {
  let name: String
  let dimensions: Int
  let metric: Metric
  let count: Int
  let m: Int
  let efConstruction: Int

  init(_ collection: VectorCollection) throws {
    let index = try collection.rebuildStatus()
    name = collection.name
    dimensions = collection.dimensions
    metric = collection.metric
    count = collection.count
    m = index.m
    efConstruction = index.efConstruction
  }
}

@c @implementation
public func vecdb_create_collection(
  _ database: vecdb_database, _ name: UnsafePointer<CChar>?, _ nameLength: Int, _ dimensions: Int,
  _ metric: UnsafePointer<CChar>?, _ metricLength: Int, _ options: UnsafePointer<CChar>?,
  _ optionsLength: Int, _ collection: UnsafeMutablePointer<vecdb_collection>?,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.databases.object(database)
    let name = try Inputs.text(name, nameLength, "name")
    let metricName = try Inputs.text(metric, metricLength, "metric")
    guard let metric = Metric(rawValue: metricName) else {
      throw Failure.argument(
        "'\(metricName)' is no metric", at: "metric", remedy: "Use l2, cosine, dot or hamming.")
    }
    var options = try Options(options, optionsLength)
    let index = try options.index()
    let created = try Call.wait {
      try await open.createCollection(name, dimensions: dimensions, metric: metric, index: index)
    }
    collection?.pointee = Open.collections.add(created)
  }
}

@c @implementation
public func vecdb_open_collection(
  _ database: vecdb_database, _ name: UnsafePointer<CChar>?, _ nameLength: Int,
  _ collection: UnsafeMutablePointer<vecdb_collection>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.databases.object(database)
    let found = try open.collection(try Inputs.text(name, nameLength, "name"))
    collection?.pointee = Open.collections.add(found)
  }
}

@c @implementation
public func vecdb_collection_release(_ collection: vecdb_collection) {
  // In a child the lock may be held for ever by a thread that does not exist there.
  if Call.isOwner { _ = Open.collections.remove(collection) }
}

@c @implementation
public func vecdb_drop_collection(
  _ database: vecdb_database, _ name: UnsafePointer<CChar>?, _ nameLength: Int,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.databases.object(database)
    let name = try Inputs.text(name, nameLength, "name")
    _ = try Call.wait { try await open.dropCollection(name) }
  }
}

@c @implementation
public func vecdb_collections(
  _ database: vecdb_database, _ json: TextResult?, _ length: UnsafeMutablePointer<Int>?,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    try Memory.store(try Open.databases.object(database).collections(), json, length)
  }
}

@c @implementation
public func vecdb_collection_info(
  _ collection: vecdb_collection, _ json: TextResult?, _ length: UnsafeMutablePointer<Int>?,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    try Memory.store(try CollectionFacts(try Open.collections.object(collection)), json, length)
  }
}

@c @implementation
public func vecdb_rebuild(
  _ collection: vecdb_collection, _ options: UnsafePointer<CChar>?, _ optionsLength: Int,
  _ json: TextResult?, _ length: UnsafeMutablePointer<Int>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    var options = try Options(options, optionsLength)
    let rebuild = try options.rebuild()
    try Memory.store(try Call.wait { try await open.rebuild(rebuild) }, json, length)
  }
}

@c @implementation
public func vecdb_rebuild_status(
  _ collection: vecdb_collection, _ json: TextResult?, _ length: UnsafeMutablePointer<Int>?,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    try Memory.store(try Open.collections.object(collection).rebuildStatus(), json, length)
  }
}
