#if Encryption
  import VecDBBytes
  import Foundation
  import Testing
  import VecDB
  import VecDBEncryption

  /// Encrypted repositories do all that plain ones do, tell nothing without the key, and are never
  /// written in plain text.
  @Suite struct EncryptionTests {
    final class Place: Sendable {
      let path: String

      init() throws {
        path = NSTemporaryDirectory() + "vecdb-encryption-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      }

      deinit { try? FileManager.default.removeItem(atPath: path) }

      func file(_ name: String) -> String { path + "/" + name }

      func files(_ folder: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: file(folder)).sorted()
          .map { file(folder) + "/" + $0 }
          .filter { (try? Data(contentsOf: URL(fileURLWithPath: $0))) != nil }
      }
    }

    static func vector(_ seed: Int) -> [Float] {
      (0..<16).map { Float((seed &* 7 &+ $0 &* 13) % 101) / 10 }
    }

    static func open(_ place: Place, _ key: (any RepositoryKey)?) async throws -> Database {
      var configuration = DatabaseConfiguration()
      configuration.repositoryKey = key
      configuration.logger.logLevel = .critical
      return try await Database.open(at: place.file("db"), configuration: configuration)
    }

    static func fill(_ database: Database, _ range: Range<Int>) async throws {
      let items =
        if let known = try? database.collection("items") {
          known
        } else {
          try await database.createCollection("items", dimensions: 16, metric: .l2)
        }
      try await items.upsert(
        range.map {
          VectorRecord(
            key: "secret-key-\($0)", vector: vector($0),
            metadata: ["note": .string("confidential \($0)")])
        })
    }

    static func expect(
      _ code: VecDBError.Code, _ body: () async throws -> Void,
      sourceLocation: SourceLocation = #_sourceLocation
    ) async {
      do {
        try await body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
      } catch {
        #expect((error as? VecDBError)?.code == code, "\(error)", sourceLocation: sourceLocation)
      }
    }

    @Test func aKeyFileThatEverybodyMayReadIsRefused() throws {
      let path = NSTemporaryDirectory() + "vecdb-key-\(UUID().uuidString)"
      defer { try? FileManager.default.removeItem(atPath: path) }
      try KeyFile.generate(at: path)
      _ = try KeyFile(path: path)
      try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
      let error = #expect(throws: VecDBError.self) { try KeyFile(path: path) }
      #expect(error?.code == .invalidArgument && error?.location == path)
    }

    @Test func everythingWorksWithTheKeyAndNothingWithout() async throws {
      let place = try Place()
      let repository = place.file("repository")
      try KeyFile.generate(at: place.file("key"))
      await Self.expect(.alreadyExists) { try KeyFile.generate(at: place.file("key")) }
      let mode = try FileManager.default.attributesOfItem(atPath: place.file("key"))
      #expect((mode[.posixPermissions] as? Int) == 0o600)
      let key = try KeyFile(path: place.file("key"))
      let database = try await Self.open(place, key)
      try await Self.fill(database, 0..<3_000)
      _ = try await database.backup(to: repository)
      try await database.mark("before")
      try await Self.fill(database, 3_000..<3_050)
      let second = try await database.backup(to: repository)
      #expect(second.newBytes < second.totalBytes / 2)
      _ = try await database.archive(to: repository)
      let digest = try database.stats().dataDigest

      // Nothing of it can be seen.
      let needle = Data("confidential".utf8)
      let name = Data("secret-key".utf8)
      for path in try place.files("repository") {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(bytes.range(of: needle) == nil && bytes.range(of: name) == nil, "\(path)")
        if path.contains("/blocks/") {
          #expect(SHA256.hash(Array(bytes)).hex != (path as NSString).lastPathComponent)
        }
      }

      // With the key, all is as ever.
      #expect(try Database.backups(in: repository, key: key).count == 2)
      #expect(try Database.marks(in: repository, key: key).map(\.name) == ["before"])
      let verified = try await Database.verify(repository: repository, samples: 2, key: key)
      #expect(verified.problems == [])
      var options = RestoreOptions()
      options.key = key
      let report = try await Database.restore(
        from: repository, to: place.file("copy"), options: options)
      #expect(report.dataDigest == digest)
      var policy = RetentionPolicy()
      policy.keepLast = 1
      _ = try await Database.prune(
        repository: repository, keeping: policy, grace: .zero, force: true, key: key)
      _ = try await Database.prune(
        repository: repository, keeping: policy, grace: .zero, force: true, key: key)
      #expect(try await Database.verify(repository: repository, key: key).problems == [])

      // Without it, or with another one, it is refused, and nothing is written.
      let before = try place.files("repository")
      try KeyFile.generate(at: place.file("other"))
      let other = try KeyFile(path: place.file("other"))
      for wrong in [nil, other, try Passphrase(text: "a passphrase")] as [(any RepositoryKey)?] {
        await Self.expect(.invalidArgument) { _ = try Database.backups(in: repository, key: wrong) }
        await Self.expect(.invalidArgument) {
          var options = RestoreOptions()
          options.key = wrong
          _ = try await Database.restore(
            from: repository, to: place.file("never"), options: options)
        }
      }
      try await database.close()
      let plain = try await Self.open(place, nil)
      await Self.expect(.invalidArgument) { _ = try await plain.backup(to: repository) }
      await Self.expect(.invalidArgument) { _ = try await plain.archive(to: repository) }
      #expect(try place.files("repository") == before)
      // A plain repository stays plain, and is not used where encryption was asked for.
      _ = try await plain.backup(to: place.file("plain"))
      try await plain.close()
      let again = try await Self.open(place, key)
      await Self.expect(.invalidArgument) { _ = try await again.backup(to: place.file("plain")) }
      try await again.close()
    }

    @Test func keysAreChangedWithoutWritingABlock() async throws {
      let place = try Place()
      let repository = place.file("repository")
      let old = try Passphrase(text: "correct horse battery")
      let database = try await Self.open(place, old)
      try await Self.fill(database, 0..<500)
      _ = try await database.backup(to: repository)
      try await database.close()
      func contents() throws -> [String: Data] {
        Dictionary(
          uniqueKeysWithValues: try place.files("repository").filter { !$0.hasSuffix("/keys") }.map
          {
            ($0, try Data(contentsOf: URL(fileURLWithPath: $0)))
          })
      }
      let before = try contents()
      try KeyFile.generate(at: place.file("key"))
      let new = try KeyFile(path: place.file("key"))
      await Self.expect(.invalidArgument) {
        try Database.changeKey(of: repository, from: Passphrase(text: "another one"), to: new)
      }
      try Database.changeKey(of: repository, from: old, to: new)
      #expect(try contents() == before)
      await Self.expect(.invalidArgument) { _ = try Database.backups(in: repository, key: old) }
      #expect(try Database.backups(in: repository, key: new).count == 1)
      // Every damage to the wrapped key is told apart from a wrong key.
      let path = repository + "/keys"
      let keys = try Data(contentsOf: URL(fileURLWithPath: path))
      for index in keys.indices {
        var damaged = keys
        damaged[index] ^= 4
        try damaged.write(to: URL(fileURLWithPath: path))
        await Self.expect(.corrupt) { _ = try Database.backups(in: repository, key: new) }
      }
      try keys.write(to: URL(fileURLWithPath: path))
      #expect(try await Database.verify(repository: repository, key: new).problems == [])
    }

    @Test func everyFlipAndEverySwapIsFound() async throws {
      let place = try Place()
      let repository = place.file("repository")
      try KeyFile.generate(at: place.file("key"))
      let key = try KeyFile(path: place.file("key"))
      let database = try await Self.open(place, key)
      for round in 0..<3 {
        try await Self.fill(database, round * 400..<round * 400 + 400)
        _ = try await database.backup(to: repository)
      }
      try await database.close()
      let paths = try place.files("repository").filter {
        $0.contains("/blocks/") || $0.contains("/deltas/") || $0.contains("/log/")
          || $0.contains("/manifests/")
      }
      #expect(paths.contains { $0.contains("/deltas/") })
      for (index, path) in paths.enumerated() {
        let url = URL(fileURLWithPath: path)
        let bytes = try Data(contentsOf: url)
        var damaged = bytes
        damaged[(index * 131) % bytes.count] ^= 1
        // Another object of the same kind, undamaged, in its place.
        let swapped = try Data(contentsOf: URL(fileURLWithPath: paths[(index + 1) % paths.count]))
        for variant in [damaged, swapped, bytes.dropLast()] {
          try variant.write(to: url)
          let report = try await Database.verify(
            repository: repository, verification: .quick, key: key)
          #expect(!report.problems.isEmpty, "\(path)")
        }
        try bytes.write(to: url)
      }
      #expect(
        try await Database.verify(repository: repository, verification: .quick, key: key).problems
          == [])
    }
  }
#endif
