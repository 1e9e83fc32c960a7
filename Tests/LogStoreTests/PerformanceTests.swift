import Glibc
import Testing
import VecDBFiles
import VecDBLogStore

/// Prints figures; run with `VECDB_LOG_FIGURES=1`.
@Suite(.enabled(if: getenv("VECDB_LOG_FIGURES") != nil)) struct LogFigures {
  @Test(arguments: [(3_000, 1_500), (200_000, 300), (3_000_000, 120)])
  func appends(payloadBytes: Int, count: Int) throws {
    let directory = try TemporaryDirectory()
    var options = WriteAheadLog.Options()
    if let mebibytes = getenv("VECDB_LOG_WAL_MIB").flatMap({ Int(String(cString: $0)) }) {
      options.checkpointWALBytes = mebibytes << 20
    }
    let log = try WriteAheadLog.create(
      directory: directory.path + "/log", fileSystem: PosixFileSystem(), identity: testIdentity,
      options: options)
    var random = TestRandom(seed: 1)
    let payload = random.bytes(payloadBytes)
    let clock = ContinuousClock()
    var slowest = Duration.zero
    let time = try clock.measure {
      for number in 0..<count {
        slowest = max(slowest, try clock.measure { _ = try log.append([(payload, Int64(number))]) })
      }
    }
    let seconds = Double(time.components.attoseconds) * 1e-18 + Double(time.components.seconds)
    print(
      "\(payloadBytes) B: \(Double(count) / seconds) commits/s,",
      "\(Double(count * payloadBytes) / seconds / 1e6) MB/s, slowest \(slowest)")
    let verify = try clock.measure { try log.verify() }
    let close = try clock.measure { try log.close() }
    let open = try clock.measure {
      _ = try WriteAheadLog.open(
        directory: directory.path + "/log", fileSystem: PosixFileSystem())
    }
    print("  verify \(verify), close \(close), open \(open)")
  }
}
