#if TLS
  import Foundation
  import VecDBReplication
  import VecDBReplicationTLS
  import Testing
  import VecDB

  /// Nodes that talk TLS over loopback, and such as should not be let in.
  @Suite(.serialized) struct TLSTests {
    private func files(_ name: String) -> CertificateFiles {
      let directory =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Certificates"
      // A checkout lets everybody read them.
      chmod("\(directory)/\(name).key", 0o600)
      return CertificateFiles(
        certificate: "\(directory)/\(name).pem", key: "\(directory)/\(name).key",
        authority: "\(directory)/authority.pem")
    }

    private func options(
      _ name: String, _ security: TransportSecurity, primary: Int? = nil, port: Int = 0
    ) -> ReplicationOptions {
      var options = ReplicationOptions(
        name: name, listen: NodeAddress(host: "127.0.0.1", port: port),
        peers: primary.map { [NodeAddress(host: "127.0.0.1", port: $0)] } ?? [],
        security: security)
      options.logger.logLevel = .critical
      return options
    }

    private var configuration: DatabaseConfiguration {
      var configuration = DatabaseConfiguration()
      configuration.controlSocket = false
      configuration.logger.logLevel = .critical
      return configuration
    }

    private func record(_ number: Int) -> VectorRecord {
      VectorRecord(key: "k\(number)", vector: (0..<8).map { Float((number * 31 + $0 * 7) % 101) })
    }

    private func withPrimary(
      _ security: TransportSecurity,
      _ body: (ReplicationNode, _ directory: String) async throws -> Void
    ) async throws {
      let directory = NSTemporaryDirectory() + "vecdb-tls-\(UUID().uuidString)"
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: directory) }
      let database = try await Database.open(at: directory + "/a", configuration: configuration)
      _ = try await database.createCollection("c", dimensions: 8, metric: .l2)
      try await database.collection("c").upsert((0..<300).map(record))
      try await database.close()
      let primary = try await ReplicationNode.serve(
        directory + "/a", options: options("a", security), configuration: configuration)
      try await body(primary, directory)
      try await primary.stop()
    }

    private func eventually(
      _ what: String, _ body: () async throws -> Bool
    ) async throws {
      let deadline = Date() + 60
      while try await !body() {
        guard Date() < deadline else {
          Issue.record("\(what) did not come about")
          throw CancellationError()
        }
        try await Task.sleep(nanoseconds: 10_000_000)
      }
    }

    /// Follows until the copy is equal.
    private func expectFollowing(
      _ primary: ReplicationNode, _ path: String, _ security: TransportSecurity
    ) async throws {
      let replica = try await ReplicationNode.follow(
        path, options: options("b", security, primary: primary.listeningPort),
        configuration: configuration)
      try await eventually("equality") {
        let (here, there) = (await primary.status(), await replica.status())
        return there.isConnected && here.lsn == there.lsn && here.dataDigest == there.dataDigest
      }
      try await replica.stop()
    }

    @Test func twoNodesThatKnowEachOtherReplicate() async throws {
      try await withPrimary(.tls(files("a"), allowing: ["b"])) { primary, directory in
        // The copy is fetched over one connection, and followed over another.
        try await expectFollowing(
          primary, directory + "/b", .tls(files("b"), allowing: ["A"]))
        try await primary.database.collection("c").upsert((300..<400).map(record))
        try await expectFollowing(
          primary, directory + "/b", .tls(files("b"), allowing: ["a"]))
        let status = await primary.status()
        #expect(status.security == "TLS 1.3")
        #expect(try #require(status.certificateExpires) > 4_000_000_000)
      }
    }

    struct Stranger: Sendable, CustomTestStringConvertible {
      var testDescription: String
      /// The certificate of who connects, nil for plaintext, and whom it allows.
      var certificate: String?
      var allows = "a"
      /// The name that it says it has.
      var name = "b"
      /// Words of the reasons, on its side and on the primary's.
      var there: String
      var here: String
    }

    static let strangers = [
      Stranger(
        testDescription: "a certificate out of date", certificate: "expired",
        there: "has expired", here: "not signed by the authority, or expired"),
      Stranger(
        testDescription: "another authority", certificate: "foreign",
        there: "does not know the authority", here: "not signed by the authority, or expired"),
      Stranger(
        testDescription: "a name that is not allowed", certificate: "c", name: "c",
        there: "none of the names", here: "none of the names"),
      Stranger(
        testDescription: "a replica that does not allow the primary", certificate: "b",
        allows: "x", there: "none of the names", here: "none of the names"),
      Stranger(
        testDescription: "plaintext", there: "speaks TLS, and this side does not",
        here: "does not speak TLS"),
    ]

    @Test(arguments: TLSTests.strangers) func strangersAreRefused(_ stranger: Stranger) async throws
    {
      try await withPrimary(.tls(files("a"), allowing: ["b"])) { primary, directory in
        let security =
          try stranger.certificate.map {
            try TransportSecurity.tls(files($0), allowing: [stranger.allows])
          } ?? .insecureLoopback
        let replica = try await ReplicationNode.follow(
          directory + "/stranger",
          options: options(stranger.name, security, primary: primary.listeningPort),
          configuration: configuration)
        try await eventually("a reason on both sides") {
          let error = await replica.status().lastError ?? ""
          let refusal = await primary.status().lastRefusal ?? ""
          return error.contains(stranger.there) && refusal.contains(stranger.here)
        }
        #expect(await replica.status().databaseID == nil)
        #expect(await primary.status().followers.isEmpty)
        try await replica.stop()
        // The primary goes on, and lets in who may come.
        try await primary.database.collection("c").upsert(record(1_000))
        try await expectFollowing(
          primary, directory + "/b", .tls(files("b"), allowing: ["a"]))
      }
    }

    /// The certificate of one node, with which it speaks under the name of another.
    private func lying(_ certificate: String, as name: String) throws -> TransportSecurity {
      let honest = try TransportSecurity.tls(files(certificate), allowing: ["a", "b", "c"])
      let proof = try #require(honest.proof)
      return TransportSecurity(
        name: honest.name,
        proof: .init(
          judge: proof.judge, explain: proof.explain, expires: proof.expires, names: { [name] }),
        makeHandlers: honest.makeHandlers)
    }

    @Test func aNodeSpeaksUnderANameOfItsCertificate() async throws {
      try await withPrimary(.tls(files("a"), allowing: ["b", "c"])) { primary, directory in
        // It does not start under another name,
        let error = await #expect(throws: VecDBError.self) {
          try await ReplicationNode.follow(
            directory + "/c",
            options: options(
              "b", .tls(files("c"), allowing: ["a"]), primary: primary.listeningPort),
            configuration: configuration)
        }
        #expect(error?.message.contains("its certificate is of 'c'") == true)
        // and one that starts all the same is not let in: neither to follow nor to be promoted.
        let impostor = try await ReplicationNode.follow(
          directory + "/c",
          options: options("b", try lying("c", as: "b"), primary: primary.listeningPort),
          configuration: configuration)
        try await eventually("a refusal") {
          await primary.status().lastRefusal?.contains("the node says that it is 'b'") == true
        }
        #expect(await impostor.status().databaseID == nil)
        #expect(await primary.status().followers.isEmpty)
        try await impostor.stop()
        try await expectFollowing(primary, directory + "/b", .tls(files("b"), allowing: ["a"]))
      }
    }

    /// What answers under a name that is not its own does not count in a promotion.
    @Test func aPromiseCountsUnderTheNameOfTheCertificate() async throws {
      try await withPrimary(.tls(files("a"), allowing: ["b", "c"])) { primary, directory in
        var real = options("b", try .tls(files("b"), allowing: ["a", "c"]))
        real.peers = [NodeAddress(host: "127.0.0.1", port: primary.listeningPort ?? 0)]
        let replica = try await ReplicationNode.follow(
          directory + "/b", options: real, configuration: configuration)
        try await eventually("following") { await replica.status().isConnected }
        // The primary becomes one that says that it is 'c'.
        try await primary.stop()
        let double = try await ReplicationNode.serve(
          directory + "/a",
          options: options("c", try lying("a", as: "c"), port: real.peers[0].port),
          configuration: configuration)
        let error = await #expect(throws: VecDBError.self) {
          try await replica.promote(timeout: .seconds(1))
        }
        #expect(error?.message.contains("not certain") == true)
        try await replica.stop()
        try await double.stop()
      }
    }

    @Test func aPrimaryWithoutTLSIsNotFollowedWithIt() async throws {
      try await withPrimary(.insecureLoopback) { primary, directory in
        let replica = try await ReplicationNode.follow(
          directory + "/b",
          options: options(
            "b", .tls(files("b"), allowing: ["a"]), primary: primary.listeningPort),
          configuration: configuration)
        try await eventually("a reason on both sides") {
          let error = await replica.status().lastError ?? ""
          let refusal = await primary.status().lastRefusal ?? ""
          return error.contains("may not speak TLS") && refusal.contains("speaks TLS")
        }
        try await replica.stop()
        try await expectFollowing(primary, directory + "/b", .insecureLoopback)
      }
    }

    @Test func aReplacedCertificateIsUsedByTheNextConnection() async throws {
      let directory = NSTemporaryDirectory() + "vecdb-tls-\(UUID().uuidString)"
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: directory) }
      let own = CertificateFiles(
        certificate: directory + "/own.pem", key: directory + "/own.key",
        authority: directory + "/ca.pem")
      func take(_ name: String) throws {
        let source = files(name)
        for (from, to) in [
          (source.certificate, own.certificate), (source.key, own.key),
          (source.authority, own.authority),
        ] {
          try Data(contentsOf: URL(fileURLWithPath: from))
            .write(to: URL(fileURLWithPath: to), options: .atomic)
        }
        chmod(own.key, 0o600)
      }
      try take("expired")
      try await withPrimary(.tls(files("a"), allowing: ["b"])) { primary, place in
        let replica = try await ReplicationNode.follow(
          place + "/b",
          options: options(
            "b", .tls(own, allowing: ["a"]), primary: primary.listeningPort),
          configuration: configuration)
        try await eventually("a refusal") {
          await replica.status().lastError?.contains("has expired") == true
        }
        try take("b")
        try await eventually("following") { await replica.status().isConnected }
        try await replica.stop()
      }
    }

    @Test func filesThatCannotBeUsedAreNamed() throws {
      var wrong = files("a")
      wrong.key = files("b").key
      #expect(throws: VecDBError.self) { try TransportSecurity.tls(wrong, allowing: ["b"]) }
      wrong.key = "/does/not/exist.key"
      let error = #expect(throws: VecDBError.self) {
        try TransportSecurity.tls(wrong, allowing: ["b"])
      }
      #expect(error?.location == "/does/not/exist.key")
      #expect(throws: VecDBError.self) { try TransportSecurity.tls(files("a"), allowing: []) }
    }

    @Test func aKeyThatEveryUserMayReadIsRefused() throws {
      let key = NSTemporaryDirectory() + "vecdb-tls-\(UUID().uuidString).key"
      defer { try? FileManager.default.removeItem(atPath: key) }
      var own = files("a")
      try FileManager.default.copyItem(atPath: own.key, toPath: key)
      own.key = key
      for mode in [0o600, 0o440] as [mode_t] {
        chmod(key, mode)
        #expect(throws: Never.self) { try TransportSecurity.tls(own, allowing: ["b"]) }
      }
      chmod(key, 0o604)
      let error = #expect(throws: VecDBError.self) {
        try TransportSecurity.tls(own, allowing: ["b"])
      }
      #expect(error?.location == key)
      #expect(error?.remedy.contains("chmod") == true)
    }
  }
#endif
