extension Database {
  /// Starts the removal of what expires.
  func startExpiry() {
    let expirer = Expirer(engine: engine, writer: writer)
    companions.add(expirer)
    expirer.start()
  }

  /// One pass over what has expired. Returns how many records it removed.
  package func removeExpired() async throws -> Int {
    try await writer.exclusively { try $0.removeExpired() }
  }
}
