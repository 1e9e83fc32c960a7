import Testing
import VecDBFiles
import VecDBLogStore

/// How much of the log is left is added up once, not for everybody who asks.
@Suite struct FrameBytesTests {
  @Test(arguments: UInt64(1)...3)
  func bytesAfterEveryLSNAreThoseOfItsFrames(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let directory = try TemporaryDirectory()
    let path = directory.path + "/log"
    var log = try WriteAheadLog.create(
      directory: path, fileSystem: PosixFileSystem(), identity: testIdentity,
      options: WriteAheadLogTests.small)
    var lengths: [Int] = []
    for step in 0..<120 {
      let batches = (0..<Int.random(in: 1...9, using: &random)).map { _ in
        (
          payload: random.bytes(Int.random(in: 0...3_000, using: &random)),
          timeMilliseconds: Int64(0)
        )
      }
      _ = try log.append(batches)
      lengths += batches.map { $0.payload.count + LogFrame.overheadBytes }
      if step % 40 == 39 {
        try log.close()
        log = try WriteAheadLog.open(
          directory: path, fileSystem: PosixFileSystem(), options: WriteAheadLogTests.small)
      }
      for _ in 0..<5 {
        let lsn = Int.random(in: 0...lengths.count, using: &random)
        let expected = lengths[lsn...].reduce(0, +)
        #expect(try log.frameBytes(after: UInt64(lsn)) == expected, "seed \(seed), LSN \(lsn)")
      }
    }
    #expect(try log.frameBytes(after: .max) == 0)
    try log.close()
  }

  /// A follower that lags by the whole log asks for every megabyte what is left.
  @Test func askingForWhatIsLeftCostsLittle() throws {
    let directory = try TemporaryDirectory()
    let log = try WriteAheadLog.create(
      directory: directory.path + "/log", fileSystem: PosixFileSystem(), identity: testIdentity)
    let payload = [UInt8](repeating: 1, count: 200)
    for _ in 0..<100 { _ = try log.append((0..<2_000).map { _ in (payload, 0) }) }
    _ = try log.frameBytes(after: 0)
    let began = ContinuousClock.now
    for lsn in 0..<2_000 { _ = try log.frameBytes(after: UInt64(lsn * 100)) }
    let taken = ContinuousClock.now - began
    // 200,000 frames were read each time before: minutes in all.
    #expect(taken < .seconds(5), "\(taken)")
    try log.close()
  }
}
