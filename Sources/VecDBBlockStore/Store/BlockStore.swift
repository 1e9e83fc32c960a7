import VecDBBytes
import VecDBFiles

/// The blocks and manifests of one database on the local disk: the directories `packs` and
/// `manifests`.
///
/// A checkpoint has a number, one more than every number in use, and writes at most one pack and
/// one manifest, both named by it. The pack is durable before the manifest appears, so a manifest
/// never names a block that is not there; a crash in between leaves a pack that nothing needs.
/// Nothing but `collectGarbage` removes a published file.
///
/// Any thread may read; one checkpoint runs at a time.
package final class BlockStore: Sendable {
  package let directory: String
  let fileSystem: any FileSystem
  package let packsDirectory: String
  package let manifestsDirectory: String
  let state: Guarded<State>
  /// Held while published files are removed, and while a pin or a checkpoint begins to count on
  /// them. Taken before `state`.
  let removal = Guarded(())

  struct State: Sendable {
    var packs: [UInt64: PackFile] = [:]
    /// Packs that could not be read, by number.
    var damagedPacks: [UInt64: StoreError] = [:]
    /// Packs newer than every manifest: left by a checkpoint that did not end. They are neither
    /// read nor counted on, because nothing says that their names are durable.
    var orphanPacks: Set<UInt64> = []
    /// Where each block is; of several copies, the one in the newest pack.
    var locations: [Digest: BlockLocation] = [:]
    var manifests: [UInt64: Manifest] = [:]
    /// Manifests that could not be read or that lack blocks, by number.
    var damagedManifests: [UInt64: StoreError] = [:]
    /// Lists that were read and proven.
    var lists: [Digest: BlockList] = [:]
    var pins: [UInt64: Manifest] = [:]
    var nextPin: UInt64 = 0
    var lastNumber: UInt64 = 0
    var isWriting = false
    /// Whether the names `packs` and `manifests` themselves were made durable since the opening.
    var isDirectorySynced = false
    var poison: StoreError?
  }

  /// Opens the store of a database directory, making `packs` and `manifests` where they are
  /// missing and removing what unfinished checkpoints left under temporary names.
  ///
  /// Reads all manifests and the tables of all packs: cost O(blocks), not O(bytes). A damaged file
  /// is remembered, not an error here; a file of an unknown version is.
  package init(directory: String, fileSystem: any FileSystem) throws {
    self.directory = directory
    self.fileSystem = fileSystem
    packsDirectory = directory + "/packs"
    manifestsDirectory = directory + "/manifests"
    var state = State()
    for folder in [packsDirectory, manifestsDirectory] {
      if try !fileSystem.exists(folder) { try fileSystem.createDirectory(folder) }
      for name in try fileSystem.list(folder) where name.hasSuffix(".tmp") {
        try fileSystem.remove(folder + "/" + name)
      }
    }
    try Self.readManifests(in: manifestsDirectory, fileSystem: fileSystem, into: &state)
    try Self.readPacks(in: packsDirectory, fileSystem: fileSystem, into: &state)
    self.state = Guarded(state)
  }

  private static func readPacks(
    in folder: String, fileSystem: any FileSystem, into state: inout State
  ) throws {
    let newestManifest = state.lastNumber
    for name in try fileSystem.list(folder) {
      guard let number = PackFile.number(fileName: name) else { continue }
      state.lastNumber = max(state.lastNumber, number)
      guard number <= newestManifest else {
        state.orphanPacks.insert(number)
        continue
      }
      do {
        let pack = try PackFile(
          opening: folder + "/" + name, number: number, fileSystem: fileSystem)
        state.add(pack)
      } catch let error as StoreError where error.kind == .corrupt {
        state.damagedPacks[number] = error
      }
    }
  }

  private static func readManifests(
    in folder: String, fileSystem: any FileSystem, into state: inout State
  ) throws {
    for name in try fileSystem.list(folder) {
      guard let number = manifestNumber(fileName: name) else { continue }
      state.lastNumber = max(state.lastNumber, number)
      let path = folder + "/" + name
      do {
        let bytes = try fileSystem.readAll(path, maximumBytes: Manifest.sizeLimitBytes)
        state.manifests[number] = try Manifest(decoding: bytes, at: path)
      } catch let error as StoreError where error.kind == .corrupt || error.kind == .limitExceeded {
        state.damagedManifests[number] = error
      }
    }
  }

  static func manifestFileName(_ number: UInt64) -> String { fixedWidth(number) + ".manifest" }

  static func manifestNumber(fileName: String) -> UInt64? {
    guard fileName.hasSuffix(".manifest") else { return nil }
    return parseFixedWidth(fileName.dropLast(9))
  }

  func manifestPath(_ number: UInt64) -> String {
    manifestsDirectory + "/" + Self.manifestFileName(number)
  }
}

extension BlockStore.State {
  /// Takes in a published pack; its copies of blocks are preferred to those of older packs.
  mutating func add(_ pack: PackFile) {
    packs[pack.number] = pack
    lastNumber = max(lastNumber, pack.number)
    for entry in pack.entries {
      if let known = locations[entry.hash], known.packNumber > pack.number { continue }
      locations[entry.hash] = BlockLocation(
        packNumber: pack.number, offsetBytes: entry.offsetBytes, lengthBytes: entry.lengthBytes)
    }
  }

  /// Forgets packs, and finds the remaining copies of their blocks.
  mutating func remove(packs numbers: Set<UInt64>) {
    guard !numbers.isEmpty else { return }
    for number in numbers {
      packs[number] = nil
      damagedPacks[number] = nil
      orphanPacks.remove(number)
    }
    locations.removeAll(keepingCapacity: true)
    let last = lastNumber
    for number in packs.keys.sorted() {
      if let pack = packs[number] { add(pack) }
    }
    lastNumber = last
  }
}
