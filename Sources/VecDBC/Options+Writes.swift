import VecDB

/// What `vecdb_upsert_with` reads from its options.
struct UpsertOptions {
  var policy = WritePolicy.overwrite
  var version: UInt64?
  var expiryMilliseconds: Int64?
}

extension Options {
  mutating func upsert() throws -> UpsertOptions {
    var options = UpsertOptions()
    let policy = try choice("policy", WritePolicy.self)
    options.version = try integer("ifVersion").map { UInt64($0) }
    options.expiryMilliseconds = try integer("expiresMilliseconds").map { max(1, Int64($0)) }
    guard policy == nil || options.version == nil else {
      throw Failure.argument(
        "there is a policy and a version", at: "options", remedy: "Give one of both.")
    }
    options.policy = policy ?? .overwrite
    try requireNoMore()
    return options
  }

  /// A change of the record with this key.
  mutating func update(_ key: String) throws -> RecordUpdate {
    let change = MetadataChange(
      set: try fields("set") ?? [:], remove: try strings("remove") ?? [],
      removesOthers: try bool("removeOthers") ?? false)
    var update = RecordUpdate(key, change, ifVersion: try integer("ifVersion").map { UInt64($0) })
    update.expiryMilliseconds = try integer("expiresMilliseconds").map { Int64($0) }
    try requireNoMore()
    return update
  }

  private mutating func fields(_ name: String) throws -> Metadata? {
    guard let value = try object(name) else { return nil }
    var metadata = Metadata()
    for member in value {
      metadata[member.name] = try Self.scalars(member.value, at: "options.\(name).\(member.name)")
    }
    return metadata
  }

  private static func scalars(_ value: JSONValue, at place: String) throws -> MetadataValue {
    switch value {
    case .null: return .null
    case .bool(let value): return .bool(value)
    case .integer(let value): return .integer(value)
    case .double(let value): return .double(value)
    case .string(let value): return .string(value)
    case .array(let values): return .array(try values.map { try scalars($0, at: place) })
    case .object:
      throw Failure.argument(
        "the value is an object", at: place, remedy: "Name a field within it with a dot.")
    }
  }
}
