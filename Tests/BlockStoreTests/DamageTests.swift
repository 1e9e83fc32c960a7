import Testing
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBSimulatedDisk

/// Every byte of every structure is flipped, and every file is cut short and removed: always an
/// error that names the place, never a crash, never other bytes than were written.
@Suite struct DamageTests {
  static let database = "/db"

  func kind(_ body: () throws -> Void) -> StoreError.Kind? {
    do { try body() } catch { return (error as? StoreError)?.kind }
    return nil
  }

  /// A disk with checkpoints of LSN 1 to `count`, and what they hold.
  func makeStore(count: UInt64) throws -> (disk: SimulatedDisk, models: [ArrayModel]) {
    let disk = SimulatedDisk()
    let store = try BlockStore(directory: Self.database, fileSystem: disk)
    var random = SplitMix64(seed: 11)
    var models: [ArrayModel] = []
    for lsn in 1...count {
      let model = ArrayModel(arrays: [
        "a": random.bytes(5000), "b": [UInt8](repeating: 3, count: 100),
      ])
      try model.checkpoint(store, lsn: lsn, previous: models.last)
      models.append(model)
    }
    return (disk, models)
  }

  func pack(_ number: Int) -> String {
    Self.database + "/packs/0000000000000000000\(number).pack"
  }

  func manifest(_ number: Int) -> String {
    Self.database + "/manifests/0000000000000000000\(number).manifest"
  }

  @Test func everyFlippedByteOfAManifestIsFound() throws {
    let bytes = makeManifest(
      lsn: 3,
      arrays: [
        ArrayManifest(name: "a", rowStrideBytes: 4, lengthBytes: 9, list: SHA256.hash([1]))
      ]
    ).encode()
    for index in bytes.indices {
      for mask: UInt8 in [1, 0x80, 0xff] {
        var damaged = bytes
        damaged[index] ^= mask
        #expect(kind { _ = try Manifest(decoding: damaged, at: "m") } == .corrupt, "byte \(index)")
      }
    }
    for count in 0..<bytes.count {
      let short = Array(bytes.prefix(count))
      #expect(kind { _ = try Manifest(decoding: short, at: "m") } == .corrupt, "\(count) bytes")
    }
    #expect(kind { _ = try Manifest(decoding: bytes + [0], at: "m") } == .corrupt)
  }

  @Test func manifestsThatLieUnderARightHashDoNotCrash() throws {
    var random = SplitMix64(seed: 12)
    let bytes = makeManifest(
      lsn: 3,
      arrays: [
        ArrayManifest(name: "a", rowStrideBytes: 4, lengthBytes: 9, list: SHA256.hash([1]))
      ]
    ).encode()
    let body = Array(bytes.dropLast(32))
    func sealed(_ body: [UInt8]) -> [UInt8] { body + SHA256.hash(body).bytes }
    for _ in 0..<20_000 {
      var damaged = body
      for _ in 0...random.below(3) {
        let values: [UInt8] = [0, 1, 0x7f, 0x80, 0xff, UInt8(random.below(256))]
        damaged[random.below(damaged.count)] = values[random.below(values.count)]
      }
      if random.chance(20) { damaged.removeLast(random.below(damaged.count)) }
      do {
        let decoded = try Manifest(decoding: sealed(damaged), at: "m")
        #expect(decoded.encode() == sealed(damaged))
      } catch {
        #expect(error is StoreError)
      }
    }
    var future = body
    future[8] = 2
    #expect(kind { _ = try Manifest(decoding: sealed(future), at: "m") } == .unknownVersion)
  }

  @Test func listsThatLieDoNotCrash() throws {
    let bytes = try BlockList(
      hashes: [SHA256.hash([1]), SHA256.hash([2])], lengthBytes: blockSizeBytes + 1
    ).encode()
    for index in 0..<24 {
      for mask in 1...255 as ClosedRange<UInt8> {
        var damaged = bytes
        damaged[index] ^= mask
        if let list = try? BlockList(decoding: damaged, at: "l") {
          // Only another length with as many blocks can be accepted; its hash forbids it.
          #expect(list.hashes.count == 2)
        }
      }
    }
    for count in 0..<bytes.count {
      let short = Array(bytes.prefix(count))
      #expect(kind { _ = try BlockList(decoding: short, at: "l") } == .corrupt)
    }
    var future = bytes
    future[8] = 9
    #expect(kind { _ = try BlockList(decoding: future, at: "l") } == .unknownVersion)
  }

  @Test func everyFlippedByteOfAPackIsFound() throws {
    let (disk, models) = try makeStore(count: 1)
    let size = try #require(disk.contents(pack(1))).count
    // Every byte of header, table and footer; of blocks and padding, one in 29.
    for index in 0..<size where index < 64 || index > size - 320 || index % 29 == 0 {
      #expect(disk.corrupt(pack(1), at: index, xor: 0x40))
      var isFound = false
      do {
        let store = try BlockStore(directory: Self.database, fileSystem: disk)
        let damage = try store.verify()
        isFound = !damage.isEmpty
        if let selection = try store.newestManifest(), !isFound {
          #expect(try mapped(selection.manifest, store) == models[0].arrays)
        }
      } catch let error as StoreError {
        isFound = error.kind == .corrupt && !error.location.isEmpty
      }
      #expect(isFound, "byte \(index)")
      disk.corrupt(pack(1), at: index, xor: 0x40)
    }
    #expect(try BlockStore(directory: Self.database, fileSystem: disk).verify().isEmpty)
  }

  @Test func aPackCutShortIsFound() throws {
    let (disk, _) = try makeStore(count: 1)
    let bytes = try #require(disk.contents(pack(1)))
    for count in stride(from: 0, to: bytes.count, by: 53) {
      disk.replace(pack(1), with: Array(bytes.prefix(count)))
      let store = try BlockStore(directory: Self.database, fileSystem: disk)
      #expect(kind { _ = try store.newestManifest() } == .corrupt)
      #expect(try !store.verify().isEmpty)
      #expect(try store.collectGarbage().postponed != nil)
      #expect(disk.contents(pack(1)) != nil)
    }
  }

  @Test func anUnknownVersionIsRefused() throws {
    let (disk, _) = try makeStore(count: 1)
    var header = try #require(disk.contents(pack(1)))
    header[8] = 2
    let checksum = CRC32C.checksum(Array(header.prefix(32)))
    withUnsafeBytes(of: checksum.littleEndian) { header.replaceSubrange(32..<36, with: $0) }
    disk.replace(pack(1), with: header)
    #expect(
      kind { _ = try BlockStore(directory: Self.database, fileSystem: disk) } == .unknownVersion)
  }

  @Test func damageIsNamed() throws {
    let (disk, _) = try makeStore(count: 1)
    disk.corrupt(pack(1), at: 4096 + 17)
    let store = try BlockStore(directory: Self.database, fileSystem: disk)
    let manifest = try #require(try store.newestManifest()).manifest
    for damage in [try store.verify(), try store.verify(manifest)] {
      #expect(damage.count == 1)
      #expect(damage.first?.collection == "c")
      #expect(damage.first?.array == "a")
      #expect(damage.first?.block == 0)
      #expect(damage.first?.error.location == "\(pack(1)), byte 4096")
      #expect(damage.first?.error.remedy.isEmpty == false)
    }
  }

  @Test func theOlderManifestServesIfTheNewestIsDamaged() throws {
    for lost in [pack(3), manifest(3)] {
      for isRemoved in [true, false] where !(isRemoved && lost == manifest(3)) {
        let (disk, models) = try makeStore(count: 3)
        if isRemoved { disk.replace(lost, with: nil) } else { disk.corrupt(lost, at: 40) }
        let store = try BlockStore(directory: Self.database, fileSystem: disk)
        let selection = try #require(try store.newestManifest())
        #expect(selection.manifest.lsn == 2)
        #expect(!selection.damage.isEmpty)
        #expect(try mapped(selection.manifest, store) == models[1].arrays)
        #expect(try !store.verify().isEmpty)
        // The damaged files stay until two sound checkpoints have superseded them.
        #expect(try store.collectGarbage().postponed != nil)
        #expect(try store.trimmableLSN() == 1)
        try models[2].checkpoint(store, lsn: 3, previous: models[1])
        #expect(try store.collectGarbage().postponed != nil)
        #expect(disk.contents(manifest(3)) != nil)
        try models[1].checkpoint(store, lsn: 4, previous: models[2])
        #expect(try store.collectGarbage().postponed == nil)
        #expect(try store.verify().isEmpty)
        #expect(try disk.list(Self.database + "/manifests").count == 2)
        let reopened = try BlockStore(directory: Self.database, fileSystem: disk)
        #expect(try reopened.newestManifest()?.damage.isEmpty == true)
      }
    }
  }

  @Test func noUsableManifestIsAnErrorAndNotAnEmptyStore() throws {
    let (disk, _) = try makeStore(count: 2)
    disk.corrupt(manifest(1), at: 20)
    disk.corrupt(manifest(2), at: 20)
    let store = try BlockStore(directory: Self.database, fileSystem: disk)
    #expect(kind { _ = try store.newestManifest() } == .corrupt)
    #expect(try store.collectGarbage().removedPacks == 0)
  }

  @Test func aPackUnderAnotherNameIsRefused() throws {
    let (disk, _) = try makeStore(count: 2)
    disk.replace(pack(1), with: disk.contents(pack(2)))
    let store = try BlockStore(directory: Self.database, fileSystem: disk)
    #expect(try store.verify().contains { $0.error.location == pack(1) })
  }

  @Test func damageInARepositoryIsNamedAndRepairedByTheNextBackup() throws {
    let (disk, models) = try makeStore(count: 1)
    let store = try BlockStore(directory: Self.database, fileSystem: disk)
    let manifest = try #require(try store.newestManifest()).manifest
    func open() throws -> StoredRepository {
      try StoredRepository.openOrCreate(
        "/repo", databaseID: manifest.databaseID, fileSystem: disk)
    }
    let repository = try open()
    _ = try BlockTransfer().publish(manifest, from: store, to: repository)
    try repository.putManifest(manifest)
    #expect(try RepositoryVerifier(repository).verify().damage.isEmpty)
    for path in disk.filePaths where path.hasPrefix("/repo/blocks/") {
      let bytes = try #require(disk.contents(path))
      let variants: [[UInt8]?] = [nil, Array(bytes.dropLast()), [bytes[0] ^ 1] + bytes.dropFirst()]
      for variant in variants {
        disk.replace(path, with: variant)
        let report = try RepositoryVerifier(open()).verify()
        #expect(report.damage.count == 1)
        #expect(report.damage.first?.error.location == path)
        #expect(report.damagedManifests.count == 1)
        let target = try BlockStore(directory: "/target", fileSystem: disk)
        let writer = try target.beginCheckpoint(lsn: manifest.lsn)
        let error = #expect(throws: StoreError.self) {
          try BlockTransfer().fetch(manifest, from: repository, into: writer)
        }
        #expect(error?.location == path)
        writer.abandon()
        if variant?.count == bytes.count { try repository.deleteBlock(SHA256.hash(bytes)) }
        let repeated = try open()
        let sent = try BlockTransfer().publish(manifest, from: store, to: repeated)
        try repeated.synchronize()
        #expect(sent.sentBlocks == 1)
        #expect(try RepositoryVerifier(open()).verify().damage.isEmpty)
      }
    }
    for path in disk.filePaths where path.hasPrefix("/repo/manifests/") {
      disk.corrupt(path, at: 50)
      #expect(try RepositoryVerifier(open()).verify().damage.first?.error.location == path)
      disk.corrupt(path, at: 50)
    }
    #expect(try mapped(manifest, store) == models[0].arrays)
    for index in 0..<32 {
      disk.corrupt("/repo/repository", at: index)
      #expect(kind { _ = try open() } == .corrupt)
      disk.corrupt("/repo/repository", at: index)
    }
  }

  @Test func aDamagedBlockIsNotPublished() throws {
    let (disk, _) = try makeStore(count: 1)
    disk.corrupt(pack(1), at: 4096 + 17)
    let store = try BlockStore(directory: Self.database, fileSystem: disk)
    let manifest = try #require(try store.newestManifest()).manifest
    let repository = try StoredRepository.create(
      "/repo", databaseID: manifest.databaseID, fileSystem: disk)
    #expect(
      kind { _ = try BlockTransfer().publish(manifest, from: store, to: repository) } == .corrupt)
  }
}
