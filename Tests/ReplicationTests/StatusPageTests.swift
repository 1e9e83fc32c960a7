import Foundation
import Testing
import VecDB
import VecDBReplication

/// What a node says of itself over HTTP, and to whom.
@Suite(.serialized) struct StatusPageTests {
  private typealias Fixture = NodeFixture

  private func withPrimary(_ body: (ReplicationNode, String) async throws -> Void) async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      let primary = try await Fixture.serve(directory + "/a", Fixture.options("a"))
      try await body(primary, directory)
      try await primary.stop()
    }
  }

  @Test func thePagesMeanWhatTheySay() async throws {
    try await withPrimary { primary, directory in
      let replica = try await Fixture.follow(
        directory + "/b", Fixture.options("b", peers: [primary.listeningPort]))
      try await Fixture.eventually("following") { await replica.status().isConnected }
      do {
        let page = try await StatusServer.start(
          primary, at: NodeAddress(host: "127.0.0.1", port: 0))
        let port = try #require(page.port)
        func status(_ path: String) async throws -> Int {
          try await Self.answer(port, path).0
        }
        #expect(try await status("/primary") == 200)
        #expect(try await status("/health") == 200)
        #expect(try await status("/ready") == 200)
        let text = try await Self.answer(port, "/metrics").1
        for name in [
          "vecdb_poisoned_total", "vecdb_checkpoints_failed_total", "vecdb_corruption_found_total",
          "vecdb_degraded_writes_total", "vecdb_refused_connections_total",
        ] { #expect(text.contains("# TYPE \(name) counter")) }
        #expect(text.contains("vecdb_followers 1"))
        #expect(text.contains("vecdb_writable 1"))
        // A primary that has handed over is one no more.
        _ = try await replica.promote(planned: true)
        #expect(try await status("/primary") == 503)
        #expect(try await status("/health") == 200)
        try await page.stop()
      }
      try await replica.stop()
    }
  }

  @Test func othersReadThePageWithATokenAlone() async throws {
    try await withPrimary { primary, _ in
      let wide = NodeAddress(host: "0.0.0.0", port: 0)
      let error = await #expect(throws: VecDBError.self) {
        try await StatusServer.start(primary, at: wide)
      }
      #expect(error?.remedy.contains("--http-token") == true)
      await #expect(throws: VecDBError.self) {
        try await StatusServer.start(primary, at: wide, protection: .token("short"))
      }
      let token = "0123456789abcdef0123456789abcdef"
      let page = try await StatusServer.start(primary, at: wide, protection: .token(token))
      let port = try #require(page.port)
      for path in ["/", "/status", "/metrics", "/nothing"] {
        #expect(try await Self.answer(port, path).0 == 401)
        #expect(try await Self.answer(port, path, token: token + "0").0 == 401)
        #expect(try await Self.answer(port, path, token: "").0 == 401)
        #expect(
          try await Self.answer(port, path, token: token).0 == (path == "/nothing" ? 404 : 200))
      }
      // What a load balancer asks says nothing else.
      for path in ["/health", "/ready", "/primary"] {
        #expect(try await Self.answer(port, path).0 == 200)
      }
      try await page.stop()
      let open = try await StatusServer.start(primary, at: wide, protection: .none)
      #expect(try await Self.answer(try #require(open.port), "/status").0 == 200)
      try await open.stop()
    }
  }

  /// The status and the body that a page answers.
  private static func answer(
    _ port: Int, _ path: String, token: String? = nil
  ) async throws -> (Int, String) {
    let authorization = token.map { "Authorization: Bearer \($0)\\r\\n" } ?? ""
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = [
      "-c",
      "exec 3<>/dev/tcp/127.0.0.1/\(port); printf 'GET \(path) HTTP/1.0\\r\\n\(authorization)\\r\\n' >&3; "
        + "cat <&3",
    ]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    // Waiting for a process is not for the threads that answer it.
    let data = await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        continuation.resume(returning: pipe.fileHandleForReading.readDataToEndOfFile())
      }
    }
    let text = String(decoding: data, as: UTF8.self)
    return (Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0, text)
  }
}
