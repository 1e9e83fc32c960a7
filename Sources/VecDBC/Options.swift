import CVecDB
import Logging
import VecDB

/// The JSON object of a call's options. Every member must be asked for: what is left is unknown.
struct Options {
  private var members: [String: JSONValue] = [:]

  /// The defaults.
  init() {}

  init(_ bytes: UnsafePointer<CChar>?, _ length: Int) throws {
    try self.init(try Inputs.optionalText(bytes, length, "options") ?? "")
  }

  init(_ text: String) throws {
    guard !text.isEmpty else { return }
    let value: JSONValue
    do { value = try JSONValue(parsing: text) } catch let failure as JSONFailure {
      throw failure.error(in: "options")
    }
    guard case .object(let list) = value else {
      throw Failure.argument("the options are no JSON object", at: "options")
    }
    for member in list { members[member.name] = member.value }
  }

  /// The member, nil where it is not there or null; `convert` says nil to a value of another kind.
  private mutating func take<Value>(
    _ name: String, _ kind: String, _ convert: (JSONValue) -> Value?
  ) throws -> Value? {
    guard let value = members.removeValue(forKey: name), value != .null else { return nil }
    guard let converted = convert(value) else {
      throw Failure.argument(
        "the option is not \(kind)", at: "options.\(name)", remedy: "Pass \(kind).")
    }
    return converted
  }

  mutating func bool(_ name: String) throws -> Bool? {
    try take(name, "true or false") { $0.boolValue }
  }

  mutating func integer(_ name: String) throws -> Int? {
    try take(name, "a whole number of at least 0") {
      $0.integerValue.flatMap { $0 >= 0 ? Int(exactly: $0) : nil }
    }
  }

  mutating func double(_ name: String) throws -> Double? {
    try take(name, "a number") { $0.doubleValue }
  }

  mutating func string(_ name: String) throws -> String? {
    try take(name, "a text") { $0.stringValue }
  }

  mutating func object(_ name: String) throws -> [JSONValue.Member]? {
    try take(name, "an object") { value in
      guard case .object(let members) = value else { return nil }
      return members
    }
  }

  mutating func strings(_ name: String) throws -> [String]? {
    try take(name, "an array of texts") { value in
      guard let elements = value.arrayValue else { return nil }
      let strings = elements.compactMap(\.stringValue)
      return strings.count == elements.count ? strings : nil
    }
  }

  /// One of the names of an enumeration.
  mutating func choice<Value: RawRepresentable & CaseIterable>(
    _ name: String, _: Value.Type
  ) throws -> Value? where Value.RawValue == String {
    let names = Value.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    return try take(name, "one of \(names)") { $0.stringValue.flatMap { Value(rawValue: $0) } }
  }

  /// Whether the member is there and null, which some options tell from missing.
  mutating func isNull(_ name: String) -> Bool { members[name] == .null }

  func requireNoMore() throws {
    guard let name = members.keys.min() else { return }
    throw Failure.argument(
      "there is no such option", at: "options.\(name)", remedy: "See vecdb.h for the options.")
  }
}

extension Options {
  mutating func configuration() throws -> DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    let level = try string("logLevel") ?? "warning"
    // A library must not write to the standard output of its program.
    if level == "off" {
      configuration.logger = Logger(label: "vecdb") { _ in SwiftLogNoOpLogHandler() }
    } else if let level = Logger.Level(rawValue: level) {
      configuration.logger = Logger(label: "vecdb") { StreamLogHandler.standardError(label: $0) }
      configuration.logger.logLevel = level
    } else {
      throw Failure.argument(
        "'\(level)' is no level of a log", at: "options.logLevel",
        remedy: "Use off, error, warning, info or debug.")
    }
    if let value = try bool("createIfMissing") { configuration.createIfMissing = value }
    if let value = try bool("checkpointOnClose") { configuration.checkpointOnClose = value }
    if let value = try bool("controlSocket") { configuration.controlSocket = value }
    if let value = try integer("buildThreads") { configuration.buildThreads = value }
    if let value = try integer("checkpointLogBytes") { configuration.checkpointLogBytes = value }
    configuration.backupBytesPerSecond = try integer("backupBytesPerSecond")
    if isNull("scrubBytesPerSecond") { configuration.scrubBytesPerSecond = nil }
    if let value = try integer("scrubBytesPerSecond") {
      configuration.scrubBytesPerSecond = value == 0 ? nil : value
    }
    if let value = try choice("rebuildPolicy", RebuildPolicy.self) {
      configuration.rebuildPolicy = value
    }
    try requireNoMore()
    return configuration
  }

  mutating func index() throws -> IndexOptions {
    var index = IndexOptions()
    if let value = try integer("m") { index.m = value }
    if let value = try integer("efConstruction") { index.efConstruction = value }
    if let value = try choice("codes", VectorCodes.self) { index.codes = value }
    try requireNoMore()
    return index
  }

  mutating func backup() throws -> BackupOptions {
    var backup = BackupOptions()
    backup.bytesPerSecond = try integer("bytesPerSecond")
    if let value = try bool("lowPriority") { backup.isLowPriority = value }
    if let value = try bool("repair") { backup.repair = value }
    try requireNoMore()
    return backup
  }

  mutating func restore() throws -> (RestoreTarget, RestoreOptions) {
    var options = RestoreOptions()
    var targets: [RestoreTarget] = []
    if let lsn = try integer("lsn") { targets.append(.lsn(UInt64(lsn))) }
    if let time = try integer("timeMilliseconds") {
      targets.append(.time(milliseconds: Int64(time)))
    }
    if let mark = try string("mark") { targets.append(.mark(mark)) }
    guard targets.count <= 1 else {
      throw Failure.argument(
        "the options name \(targets.count) states", at: "options",
        remedy: "Give one of lsn, timeMilliseconds and mark.")
    }
    if let value = try choice("verification", RestoreVerification.self) {
      options.verification = value
    }
    options.collections = Set(try strings("collections") ?? [])
    options.replacing = try bool("replacing") ?? false
    options.discardsUnsaved = try bool("discardsUnsaved") ?? false
    options.replacesUnrelated = try bool("replacesUnrelated") ?? false
    options.continues = try bool("continues") ?? false
    try requireNoMore()
    return (targets.first ?? .latest, options)
  }

  mutating func rebuild() throws -> RebuildOptions {
    var options = RebuildOptions()
    options.m = try integer("m")
    options.efConstruction = try integer("efConstruction")
    options.codes = try choice("codes", VectorCodes.self)
    if let threads = try integer("threads") { options.budget.threads = threads }
    options.budget.recordsPerSecond = try integer("recordsPerSecond")
    options.gate.minimumRecall = try double("minimumRecall")
    if let seconds = try integer("graceSeconds") { options.grace = .seconds(seconds) }
    try requireNoMore()
    return options
  }
}
