import Bytes
import Files
import LogStore
import Testing

@Suite struct WriteAheadLogTests {
  let files = PosixFileSystem()
  let directory: TemporaryDirectory
  var path: String { directory.path + "/log" }

  init() throws { directory = try TemporaryDirectory() }

  /// Small segments, so that a test sees many.
  static var small: WriteAheadLog.Options {
    var options = WriteAheadLog.Options()
    options.segmentSizeBytes = 100_000
    options.checkpointWALBytes = 200_000
    return options
  }

  func create(_ options: WriteAheadLog.Options = .init()) throws -> WriteAheadLog {
    try WriteAheadLog.create(
      directory: path, fileSystem: files, identity: testIdentity, options: options)
  }

  func open(_ options: WriteAheadLog.Options = .init()) throws -> WriteAheadLog {
    try WriteAheadLog.open(directory: path, fileSystem: files, options: options)
  }

  func all(_ log: WriteAheadLog, after lsn: UInt64 = 0) throws -> [LogFrame] {
    var frames: [LogFrame] = []
    try log.read(after: lsn) { frames.append($0) }
    return frames
  }

  @Test func appendsReadsAndReopens() throws {
    let log = try create()
    #expect(log.end == .zero)
    #expect(log.firstLSN == 1)
    let first = try log.append([([1, 2, 3], 10), ([], 11)])
    let second = try log.append([(Array(repeating: 7, count: 3_000_000), 12)])
    #expect(first.map(\.lsn) == [1, 2])
    #expect(second.map(\.lsn) == [3])
    #expect(log.end == second[0])
    let frames = try all(log)
    #expect(frames.map(\.payload.count) == [3, 0, 3_000_000])
    #expect(frames.map(\.timeMilliseconds) == [10, 11, 12])
    #expect(try log.position(at: 2) == first[1])
    try log.verify()
    try log.close()
    #expect(throws: StoreError.self) { try log.append([([1], 1)]) }

    let again = try open()
    #expect(again.identity == testIdentity)
    #expect(again.end == second[0])
    #expect(try all(again) == frames)
    #expect(try again.append([([9], 13)])[0].lsn == 4)
  }

  @Test func rotatesSealsAndTrims() throws {
    var random = TestRandom(seed: 1)
    var held: WriteAheadLog? = try create(Self.small)
    var log: WriteAheadLog { held.unsafelyUnwrapped }
    var positions: [LogPosition] = []
    var payloads: [[UInt8]] = []
    for round in 0..<60 {
      let payload = random.bytes(Int.random(in: 0...30_000, using: &random))
      payloads.append(payload)
      positions += try log.append([(payload, Int64(round))])
      if round % 17 == 16 {
        if round % 2 == 0 { try log.close() }
        held = nil  // Without `close`, as after a kill.
        held = try open(Self.small)
      }
    }
    try log.verify()
    let names = try files.list(path)
    #expect(names.filter { $0.hasSuffix(".segment") }.count > 5)
    #expect(names.filter { $0.hasSuffix("-wal") }.count == 1)
    #expect(try all(log).map(\.payload) == payloads)
    for lsn in [1, 20, 60] as [UInt64] {
      #expect(try log.position(at: lsn) == positions[Int(lsn) - 1])
    }
    try log.trim(through: 30)
    let oldest = log.firstLSN
    #expect(oldest > 1 && oldest <= 31)
    #expect(throws: StoreError.self) { try log.read(after: 0) { _ in } }
    #expect(try all(log, after: 30).map(\.payload) == Array(payloads[30...]))
    held = nil
    held = try open(Self.small)
    #expect(log.firstLSN == oldest)
    try log.verify()
    try log.trim(through: 1000)
    #expect(log.end == positions.last)
  }
}
