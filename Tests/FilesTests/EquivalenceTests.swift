import Testing
import VecDBFiles
import VecDBSimulatedDisk

/// The simulated disk must answer as the operating system does: the same random calls go to both.
@Suite struct EquivalenceTests {
  @Test func simulatedDiskBehavesAsTheRealOne() throws {
    for seed in UInt64(1)...60 {
      let directory = try TemporaryDirectory()
      let disk = SimulatedDisk(seed: seed)
      try disk.createDirectory(directory.path)
      var real = Player(files: PosixFileSystem(), root: directory.path)
      var simulated = Player(files: disk, root: directory.path)
      var random = SplitMix64(seed: seed)
      var log: [String] = []
      for _ in 0..<150 {
        let call = Call(&random)
        let (expected, found) = (real.play(call), simulated.play(call))
        log.append("\(call): \(expected)")
        if expected != found {
          Issue.record("seed \(seed): \(found) after\n\(log.suffix(20).joined(separator: "\n"))")
          return
        }
      }
      #expect(real.dump() == simulated.dump(), "seed \(seed)")
    }
  }

  struct Call {
    var what: Int
    var path: String
    var other: String
    var offset: Int
    var length: Int

    init(_ random: inout SplitMix64) {
      let names = ["/a", "/b", "/d", "/d/a", "/d/b", "/d/e", "/d/e/a", "/a/x", "/none/x"]
      what = random.below(20)
      path = names[random.below(names.count)]
      other = names[random.below(names.count)]
      offset = random.below(3) * 3000 + random.below(10)
      length = random.below(5000)
    }
  }

  struct Player {
    let files: any FileSystem
    let root: String
    var handles: [any FileHandle] = []
    var locks: [any FileLock] = []

    init(files: any FileSystem, root: String) {
      self.files = files
      self.root = root
    }

    /// What the call gives, or the kind of its error and the place that it names.
    mutating func play(_ call: Call) -> String {
      do {
        return try answer(call)
      } catch let error as StoreError {
        return "\(error.kind) at \(error.location)"
      } catch {
        return "\(error)"
      }
    }

    private mutating func answer(_ call: Call) throws -> String {
      let (path, other) = (root + call.path, root + call.other)
      let handle = handles.isEmpty ? nil : handles[call.length % handles.count]
      switch call.what {
      case 0: handles.append(try files.open(path, .read))
      case 1: handles.append(try files.open(path, .readWrite))
      case 2: handles.append(try files.open(path, .createNew))
      case 3: handles.append(try files.open(path, .createOrTruncate))
      case 4, 5, 6:
        let bytes = (0..<call.length).map { UInt8(truncatingIfNeeded: $0 &+ call.offset) }
        try bytes.withUnsafeBytes { try handle?.write($0, at: call.offset) }
      case 7: try handle?.truncate(to: call.offset)
      case 8:
        var bytes = [UInt8](repeating: 0, count: call.length)
        let count = try bytes.withUnsafeMutableBytes {
          try handle?.read(at: call.offset, into: $0)
        }
        return "\(count ?? -1) \(bytes.hashValue)"
      case 9: try handle?.sync()
      case 10: try files.createDirectory(path)
      case 11: return try files.list(path).joined(separator: ",")
      case 12:
        let info = try files.info(path)
        return "\(info?.isDirectory == true ? "directory" : "\(info?.sizeBytes ?? -1)")"
      case 13: try files.remove(path)
      case 14: try files.removeTree(path)
      case 15: try files.rename(path, to: other)
      case 16: try files.renameExclusively(path, to: other)
      case 18: return "\(try files.exchange(path, with: other))"
      case 17: try files.syncDirectory(path)
      default:
        locks.append(try files.lock(path, owner: "me"))
        if locks.count > 2 { locks.removeFirst().unlock() }
      }
      return "done"
    }

    func dump() -> [String: [UInt8]] {
      func walk(_ path: String) -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for name in (try? files.list(path)) ?? [] {
          let child = path + "/" + name
          if let bytes = try? files.readAll(child) {
            result[child] = bytes
          } else {
            result[child + "/"] = []
            result.merge(walk(child)) { first, _ in first }
          }
        }
        return result
      }
      return walk(root)
    }
  }
}
