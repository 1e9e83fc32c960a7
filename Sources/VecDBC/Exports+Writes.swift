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

  fileprivate func store(_ result: UpdateResult) {
    store(result.receipt) {
      $0.updated = UInt64(result.updated)
      $0.unchanged = UInt64(result.unchanged)
      $0.batches = UInt64(result.batches)
    }
  }
}

/// Writes the records of C code; `write` makes the call of the library.
private func upsert(
  _ collection: vecdb_collection, _ count: Int, _ keys: UnsafePointer<CChar>?, _ keysLength: Int,
  _ keyOffsets: UnsafePointer<UInt64>?, _ vectors: UnsafeRawPointer?, _ type: vecdb_type,
  _ columns: Int, _ metadata: UnsafePointer<CChar>?, _ metadataLength: Int,
  _ metadataOffsets: UnsafePointer<UInt64>?, _ options: () throws -> UpsertOptions,
  _ written: UnsafeMutablePointer<vecdb_written>?, _ error: ErrorResult?
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
    let options = try options()
    let records = try keys.enumerated().map { place, key in
      var record = VectorRecord(
        key: key, vector: matrix.row(place),
        metadata: try texts.map { try Inputs.metadata($0[place], ofKey: key) } ?? [:])
      record.expiryMilliseconds = options.expiryMilliseconds
      return record
    }
    let result: UpsertResult
    if let version = options.version {
      guard let record = records.first, records.count == 1 else {
        throw Failure.argument(
          "there are \(records.count) records, and a version is that of one",
          at: "options.ifVersion", remedy: "Write one record.")
      }
      result = try Call.wait { try await open.upsert(record, ifVersion: version) }
    } else {
      result = try Call.wait { try await open.upsert(records, policy: options.policy) }
    }
    written?.store(result.receipt) {
      $0.inserted = UInt64(result.inserted)
      $0.updated = UInt64(result.updated)
      $0.unchanged = UInt64(result.unchanged)
      $0.batches = UInt64(result.batches)
    }
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
  upsert(
    collection, count, keys, keysLength, keyOffsets, vectors, type, columns, metadata,
    metadataLength, metadataOffsets, { UpsertOptions() }, written, error)
}

@c @implementation
public func vecdb_upsert_with(
  _ collection: vecdb_collection, _ count: Int, _ keys: UnsafePointer<CChar>?, _ keysLength: Int,
  _ keyOffsets: UnsafePointer<UInt64>?, _ vectors: UnsafeRawPointer?, _ type: vecdb_type,
  _ columns: Int, _ metadata: UnsafePointer<CChar>?, _ metadataLength: Int,
  _ metadataOffsets: UnsafePointer<UInt64>?, _ options: UnsafePointer<CChar>?,
  _ optionsLength: Int, _ written: UnsafeMutablePointer<vecdb_written>?, _ error: ErrorResult?
) -> vecdb_code {
  upsert(
    collection, count, keys, keysLength, keyOffsets, vectors, type, columns, metadata,
    metadataLength, metadataOffsets,
    {
      var given = try Options(options, optionsLength)
      return try given.upsert()
    }, written, error)
}

@c @implementation
public func vecdb_update(
  _ collection: vecdb_collection, _ count: Int, _ keys: UnsafePointer<CChar>?, _ keysLength: Int,
  _ keyOffsets: UnsafePointer<UInt64>?, _ changes: UnsafePointer<CChar>?, _ changesLength: Int,
  _ changeOffsets: UnsafePointer<UInt64>?, _ written: UnsafeMutablePointer<vecdb_written>?,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    let keys = try Inputs.texts(count, keys, keysLength, keyOffsets, "keys")
    let texts = try Inputs.texts(count, changes, changesLength, changeOffsets, "changes")
    let updates = try zip(keys, texts).map { key, text in
      do {
        var options = try Options(text)
        return try options.update(key)
      } catch let error as VecDBError {
        throw VecDBError(
          error.code, error.message, at: "key '\(key)', \(error.location)", remedy: error.remedy)
      }
    }
    let result = try Call.wait { try await open.update(updates) }
    written?.store(result)
  }
}

@c @implementation
public func vecdb_update_where(
  _ collection: vecdb_collection, _ filter: UnsafePointer<CChar>?, _ filterLength: Int,
  _ change: UnsafePointer<CChar>?, _ changeLength: Int,
  _ written: UnsafeMutablePointer<vecdb_written>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.collections.object(collection)
    guard let filter = try Inputs.filter(filter, filterLength) else {
      throw Failure.argument(
        "the filter is NULL", at: "filter", remedy: "To change all records, pass: true")
    }
    var options = try Options(change, changeLength)
    let update = try options.update("")
    guard update.version == nil else {
      throw Failure.argument(
        "a version is that of one record", at: "options.ifVersion", remedy: "Use vecdb_update.")
    }
    let result = try Call.wait {
      try await open.update(
        where: filter, update.change, expiryMilliseconds: update.expiryMilliseconds)
    }
    written?.store(result)
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
