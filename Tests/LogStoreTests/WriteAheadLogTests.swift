import Dispatch
import Testing
import VecDBBytes
import VecDBFiles
import VecDBLogStore

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

  @Test func newEpochGetsItsOwnSegment() throws {
    let log = try create()
    // An epoch that has written nothing has no segment to end.
    #expect(throws: StoreError.self) { try log.beginEpoch(counter: 2, id: .zero) }
    let before = try log.append([([1], 1), ([2], 2)])
    #expect(throws: StoreError.self) { try log.beginEpoch(counter: 1, id: .zero) }
    try log.beginEpoch(counter: 5, id: UniqueID(high: 8, low: 9))
    #expect(log.end == before[1])
    let epoch = log.identity.currentEpoch
    #expect(epoch.counter == 5)
    #expect(epoch.parentID == testIdentity.currentEpoch.id)
    #expect(LogPosition(lsn: epoch.beganAtLSN, chain: epoch.beganAtChain) == before[1])
    _ = try log.append([([3], 3)])
    #expect(try all(log).map(\.epochCounter) == [1, 1, 5])
    try log.verify()
    try log.close()
    let again = try open()
    #expect(again.identity.epochs.count == 2)
    try again.verify()
    let stream = LogFrameStream.encode(
      identity: again.identity, start: .zero, frames: try all(again))
    var reader = LogFrameStreamReader(place: "test")
    reader.feed(stream)
    for lsn in 1...3 as ClosedRange<UInt64> { #expect(try reader.next()?.lsn == lsn) }
    #expect(try reader.next() == nil)
    try reader.expectComplete()
  }

  @Test func startsWhereARestoreEnded() throws {
    let start = LogPosition(lsn: 1000, chain: SHA256.hash([1]))
    let log = try WriteAheadLog.create(
      directory: path, fileSystem: files, identity: testIdentity, start: start)
    #expect(log.end == start)
    #expect(log.firstLSN == 1001)
    #expect(try log.position(at: 1000) == start)
    #expect(throws: StoreError.self) { try log.position(at: 999) }
    #expect(try log.append([([1], 0)])[0].lsn == 1001)
    try log.close()
    #expect(try all(try open(), after: 1000).map(\.payload) == [[1]])
  }

  @Test func tooLargeBatchIsRefusedWhole() throws {
    let log = try create()
    let large = [UInt8](repeating: 0, count: LogFrame.payloadBytesMaximum + 1)
    let error = #expect(throws: StoreError.self) { try log.append([([1], 0), (large, 0)]) }
    #expect(error?.kind == .limitExceeded)
    #expect(log.end == .zero)
    #expect(try log.append([(Array(large.dropLast()), 0)])[0].lsn == 1)
    #expect(try all(log)[0].payload.count == LogFrame.payloadBytesMaximum)
    #expect(try log.append([]).isEmpty)
  }

  @Test func readsBesideAppendsOnOtherThreads() throws {
    let log = try create(Self.small)
    DispatchQueue.concurrentPerform(iterations: 3) { thread in
      do {
        for round in 0..<60 {
          if thread == 0 {
            _ = try log.append([([UInt8](repeating: UInt8(round), count: 5000), 0)])
          } else {
            var next: UInt64 = 1
            try log.read(after: 0) { frame in
              #expect(frame.lsn == next)
              next += 1
            }
          }
        }
      } catch { Issue.record(error) }
    }
    #expect(log.end.lsn == 60)
    try log.verify()
  }
}
