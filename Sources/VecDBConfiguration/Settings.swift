#if Configuration
  import Configuration
  import VecDB

  /// Reads values of a `ConfigReader`. A value of the wrong kind is an error here, not a missing one.
  struct Settings {
    let config: ConfigReader

    func int(_ key: ConfigKey, _ range: ClosedRange<Int>) throws(VecDBError) -> Int? {
      guard let value = config.int(forKey: key) else {
        return try nothing(key, "a whole number")
      }
      guard range.contains(value) else {
        throw VecDBError(
          .invalidArgument, "the setting is \(value)", at: "\(key)",
          remedy: "Use \(range.lowerBound) to \(range.upperBound).")
      }
      return value
    }

    func bool(_ key: ConfigKey) throws(VecDBError) -> Bool? {
      guard let value = config.bool(forKey: key) else { return try nothing(key, "true or false") }
      return value
    }

    func string(_ key: ConfigKey, isSecret: Bool = false) throws(VecDBError) -> String? {
      guard let value = config.string(forKey: key, isSecret: isSecret) else {
        return try nothing(key, "text")
      }
      return value
    }

    func strings(_ key: ConfigKey) throws(VecDBError) -> [String]? {
      guard let value = config.stringArray(forKey: key) else {
        return try nothing(key, "a list of texts")
      }
      return value
    }

    func requireString(_ key: ConfigKey) throws(VecDBError) -> String {
      guard let value = try string(key) else {
        throw VecDBError(
          .invalidArgument, "the setting is missing", at: "\(key)", remedy: "Set it.")
      }
      return value
    }

    /// Nil if there is no value of any kind; the value itself may be secret and is not shown.
    private func nothing<Value>(_ key: ConfigKey, _ wanted: String) throws(VecDBError) -> Value? {
      let isThere =
        config.string(forKey: key, isSecret: true) != nil
        || config.double(forKey: key, isSecret: true) != nil
        || config.bool(forKey: key, isSecret: true) != nil
        || config.stringArray(forKey: key, isSecret: true) != nil
        || config.doubleArray(forKey: key, isSecret: true) != nil
      guard isThere else { return nil }
      throw VecDBError(
        .invalidArgument, "the setting is of another kind", at: "\(key)",
        remedy: "Use \(wanted).")
    }
  }

  /// Bounds of numbers that settings give.
  enum SettingRange {
    static let bytes = 1...Int.max
    static let milliseconds = 0...(366 * 86_400_000)
    static let seconds = 0...(366 * 86_400)
    static let threads = 0...4_096
  }
#endif
