#if TLS
  import Foundation
  import Replication
  import ReplicationTLS
  import Testing
  import VecDB

  /// Nodes that know each other by certificate. The certificates are made by openssl for each run.
  @Suite(.serialized) struct TLSTests {
    private let directory: String

    init() throws {
      directory = NSTemporaryDirectory() + "vecdb-tls-\(UUID().uuidString)"
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
      try openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority")
      try openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", "other.key", "-out", "other.pem", "-days", "2", "-subj", "/CN=other")
      for (name, days) in [("a", "2"), ("b", "2"), ("stranger", "2")] {
        try certificate(name, days: days, authority: "ca")
      }
      try certificate("foreign", days: "2", authority: "other")
      try certificate("late", days: "0", authority: "ca")
    }

    private func openssl(_ arguments: String...) throws {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = ["openssl"] + arguments
      process.currentDirectoryURL = URL(fileURLWithPath: directory)
      process.standardError = FileHandle.nullDevice
      process.standardOutput = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      try #require(process.terminationStatus == 0, "openssl \(arguments.joined(separator: " "))")
    }

    private func certificate(_ name: String, days: String, authority: String) throws {
      try openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
        "\(name).key", "-out", "\(name).csr", "-subj", "/CN=\(name)")
      try Data("subjectAltName=DNS:\(name)\n".utf8).write(
        to: URL(fileURLWithPath: "\(directory)/\(name).ext"))
      try openssl(
        "x509", "-req", "-in", "\(name).csr", "-CA", "\(authority).pem", "-CAkey",
        "\(authority).key", "-CAcreateserial", "-out", "\(name).pem", "-days", days, "-extfile",
        "\(name).ext")
    }

    private func security(_ name: String, allowed: [String]) throws -> TransportSecurity {
      try .tls(
        TLSOptions(
          certificates: "\(directory)/\(name).pem", privateKey: "\(directory)/\(name).key",
          authority: "\(directory)/ca.pem", allowedNames: allowed))
    }

    private var configuration: Configuration {
      var configuration = Configuration()
      configuration.controlSocket = false
      configuration.logger.logLevel = .critical
      return configuration
    }

    private func options(
      _ name: String, _ security: TransportSecurity, peer: Int? = nil
    ) -> ReplicationOptions {
      var options = ReplicationOptions(
        name: name, listen: NodeAddress(host: "127.0.0.1", port: 0),
        peers: peer.map { [NodeAddress(host: "127.0.0.1", port: $0)] } ?? [], security: security)
      options.logger.logLevel = .critical
      return options
    }

    @Test func onlyThoseWhoAreAllowedGetAnything() async throws {
      let path = directory + "/db"
      let database = try await Database.open(at: path, configuration: configuration)
      let collection = try await database.createCollection("c", dimensions: 2, metric: .l2)
      try await collection.upsert(Record(key: "k", vector: [1, 2]))
      try await database.close()
      let primary = try await ReplicationNode.serve(
        path, options: options("a", try security("a", allowed: ["b"])),
        configuration: configuration)
      for name in ["stranger", "foreign", "late"] {
        let refused = try await ReplicationNode.follow(
          directory + "/\(name)-db",
          options: options(name, try security(name, allowed: ["a"]), peer: primary.listeningPort),
          configuration: configuration)
        try await Task.sleep(nanoseconds: 700_000_000)
        #expect(await refused.status().databaseID == nil, "\(name)")
        #expect(await refused.status().lastError != nil, "\(name)")
        try await refused.stop()
      }
      // One that is allowed, but does not allow this primary.
      let suspicious = try await ReplicationNode.follow(
        directory + "/suspicious-db",
        options: options("b", try security("b", allowed: ["z"]), peer: primary.listeningPort),
        configuration: configuration)
      try await Task.sleep(nanoseconds: 700_000_000)
      #expect(await suspicious.status().databaseID == nil)
      try await suspicious.stop()
      let replica = try await ReplicationNode.follow(
        directory + "/b-db",
        options: options("b", try security("b", allowed: ["a"]), peer: primary.listeningPort),
        configuration: configuration)
      for _ in 0..<1_000 where await !replica.status().isConnected {
        try await Task.sleep(nanoseconds: 10_000_000)
      }
      #expect(await replica.status().isConnected)
      try await replica.stop()
      try await primary.stop()
    }
  }
#endif
