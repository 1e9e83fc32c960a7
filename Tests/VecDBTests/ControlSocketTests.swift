import Foundation
import Glibc
import Testing
import VecDB

/// The control socket against peers that are not as they should be.
@Suite(.serialized) struct ControlSocketTests {
  private func connect(_ path: String) throws -> Int32 {
    try #require(try ControlSocket.connect(in: path))
  }

  private func send(_ bytes: [UInt8], to descriptor: Int32) {
    _ = bytes.withUnsafeBytes {
      Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
  }

  /// Everything until the owner ends the connection; fails the test after 20 s.
  private func readAll(_ descriptor: Int32) async throws -> [UInt8] {
    var time = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    return try await onThread {
      var all: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 4096)
      while true {
        let count = buffer.withUnsafeMutableBytes {
          recv(descriptor, $0.baseAddress, $0.count, 0)
        }
        if count <= 0 {
          #expect(count == 0 || errno == ECONNRESET, "still open after 20 s")
          return all
        }
        all += buffer[..<count]
      }
    }
  }

  @Test func garbageIsRefusedAndHarmsNobody() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    var generator = SeededGenerator(seed: 5)
    let good = try ControlFrame.encode(ControlRequest(.status))
    var attempts: [[UInt8]] = [
      Array("GET / HTTP/1.1\r\n\r\n".utf8),
      Array("VDBC".utf8) + [2, 0, 0, 0, 2, 0, 0, 0] + Array("{}".utf8),
      Array("VDBC".utf8) + [1, 0, 0, 0, 255, 255, 255, 255],
      Array("VDBC".utf8) + [1, 0, 0, 0, 2, 0, 0, 0] + Array("{}".utf8),
      Array("VDBC".utf8) + [1, 0, 0, 0, 3, 0, 0, 0] + Array("nul".utf8),
      Array("VDBC".utf8) + [1, 9, 0, 0, 3, 0, 0, 0] + Array("nul".utf8),
    ]
    for _ in 0..<40 {
      var bytes = good
      let place = Int.random(in: 0..<12, using: &generator)
      bytes[place] ^= UInt8.random(in: 1...255, using: &generator)
      // A longer length just makes the owner wait, which is tested below.
      if place < 8 { attempts.append(bytes) }
    }
    for bytes in attempts {
      let descriptor = try connect(directory.file("db"))
      defer { close(descriptor) }
      send(bytes, to: descriptor)
      let answer = String(decoding: try await readAll(descriptor), as: UTF8.self)
      #expect(answer.contains("hello") && answer.contains("error"), "\(bytes): \(answer)")
    }
    let remote = try #require(try RemoteDatabase(path: directory.file("db")))
    #expect(try await remote.status().lsn == 0)
    #expect(remote.hello.processID == getpid())
    try await database.close()
    #expect(try RemoteDatabase(path: directory.file("db")) == nil)
  }

  @Test func silentAndSlowPeersAreDropped() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let silent = try connect(directory.file("db"))
    let slow = try connect(directory.file("db"))
    defer {
      close(silent)
      close(slow)
    }
    // Half a header, then nothing.
    send(Array("VDBC".utf8) + [1], to: slow)
    let begun = ContinuousClock.now
    _ = try await readAll(silent)
    _ = try await readAll(slow)
    #expect(ContinuousClock.now - begun < .seconds(150))
    try await database.close()
  }

  @Test func tooManyConnectionsAreRefused() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    var held: [RemoteDatabase] = []
    for _ in 0..<ControlServer.connectionLimit {
      held.append(try #require(try RemoteDatabase(path: directory.file("db"))))
    }
    await expectError(.overloaded) { _ = try RemoteDatabase(path: directory.file("db")) }
    #expect(try await held[0].status().requests == 1)
    held.removeAll()
    // The server sees that they are gone when its threads come to it.
    let deadline = ContinuousClock.now + .seconds(60)
    while true {
      do {
        #expect(try RemoteDatabase(path: directory.file("db")) != nil)
        break
      } catch let error as VecDBError
        where error.code == .overloaded && ContinuousClock.now < deadline
      {
        try await Task.sleep(nanoseconds: 20_000_000)
      }
    }
    try await database.close()
  }

  /// The lock of a database that was dropped goes when its threads have let go of it.
  private static func reopen(_ path: String) async throws -> Database {
    let deadline = ContinuousClock.now + .seconds(120)
    while true {
      do { return try await Database.open(at: path) } catch let error as VecDBError
        where error.code == .locked && ContinuousClock.now < deadline
      {
        try await Task.sleep(nanoseconds: 5_000_000)
      }
    }
  }

  @Test func theSocketFile() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    var database: Database? = try await Database.open(at: path)
    let socket = path + "/control.sock"
    var status = stat()
    #expect(stat(socket, &status) == 0 && status.st_mode & 0o777 == 0o600)
    #expect(status.st_mode & S_IFMT == S_IFSOCK)
    // Dropped without closing: the file goes too.
    database = nil
    #expect(access(socket, F_OK) != 0)
    // What a crash leaves, or anything else of that name, is replaced.
    try Data("stale".utf8).write(to: URL(fileURLWithPath: socket))
    database = try await Self.reopen(path)
    #expect(try RemoteDatabase(path: path) != nil)
    try await database?.close()
    // Turned off.
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    database = try await Database.open(at: path, configuration: configuration)
    #expect(access(socket, F_OK) != 0)
    #expect(try RemoteDatabase(path: path) == nil)
    try await database?.close()
  }

  @Test func aPathLongerThanAnAddress() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file(String(repeating: "long", count: 40))
    let database = try await Database.open(at: path)
    let remote = try #require(try RemoteDatabase(path: path))
    #expect(try await remote.stats(graphDigests: true).path == path)
    var status = stat()
    #expect(stat(path + "/control.sock", &status) == 0 && status.st_mode & 0o777 == 0o600)
    try await database.close()
  }

  @Test func closingEndsWhatConnectionsAskedFor() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 8, metric: .l2)
    var generator = SeededGenerator(seed: 6)
    try await items.upsert(
      (0..<3_000).map { VectorRecord(key: "\($0)", vector: generator.vector(8)) })
    let remote = try #require(try RemoteDatabase(path: directory.file("db")))
    let repository = directory.file("repo")
    async let backup = remote.backup(to: repository)
    try await Task.sleep(nanoseconds: 5_000_000)
    try await database.close()
    // Either it was done by then, or it was broken off and says so.
    do { _ = try await backup } catch let error as VecDBError {
      #expect([.cancelled, .closed, .inputOutput].contains(error.code), "\(error)")
    }
    let again = try await Database.open(at: directory.file("db"))
    #expect(try await again.backup(to: repository).lsn == again.lsn)
    try await again.close()
  }
}
