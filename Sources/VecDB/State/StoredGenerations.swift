import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBIndex

/// The index states of a collection's generations, as a manifest keeps them: UInt32 magic "VXGS",
/// UInt32 version (1), UInt32 count, then UInt32 number and counted index state each, the one that
/// serves first. Manifests from before rebuilds hold the state of generation 1 alone.
struct StoredGenerations {
  private static let magic: UInt32 = 0x5347_5856  // "VXGS"
  private static let version: UInt32 = 1

  /// The one that serves first.
  var generations: [(number: UInt32, state: [UInt8])]

  /// The name that a manifest gives an array: plain for generation 1, and `g2.codes` for others.
  static func arrayName(_ name: String, of number: UInt32) -> String {
    number == 1 ? name : "g\(number).\(name)"
  }

  static func isArray(_ name: String, of number: UInt32) -> Bool {
    number == 1 ? !name.hasPrefix("g") : name.hasPrefix("g\(number).")
  }

  func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(Self.magic)
    writer.write(Self.version)
    writer.write(UInt32(generations.count))
    for generation in generations {
      writer.write(generation.number)
      writer.write(counted: generation.state)
    }
    return writer.bytes
  }

  init(generations: [(number: UInt32, state: [UInt8])]) { self.generations = generations }

  init(decoding bytes: [UInt8], at location: String) throws {
    let isContainer =
      bytes.count >= 4
      && bytes.withUnsafeBytes {
        UInt32(littleEndian: $0.loadUnaligned(as: UInt32.self)) == Self.magic
      }
    guard isContainer else {
      generations = [(1, bytes)]
      return
    }
    do {
      generations = try bytes.withUnsafeBytes { buffer in
        var reader = ByteReader(buffer)
        _ = try reader.read(UInt32.self, "magic")
        guard try reader.read(UInt32.self, "version") == Self.version else {
          throw StoreError(
            .unknownVersion, "the list of generations has an unknown version", at: location,
            remedy: "Open the database with a newer vecdb.")
        }
        let count: UInt32 = try reader.read("number of generations")
        guard (1...2).contains(count) else { throw reader.failure("number of generations") }
        let all = try (0..<count).map { _ in
          (try reader.read(UInt32.self, "generation"), Array(try reader.readCounted("state")))
        }
        try reader.expectEnd("end of generations")
        return all
      }
    } catch let failure as ByteReader.Failure {
      throw StoreError(
        .corrupt, "the list of generations cannot be read: \(failure)", at: location,
        remedy: "Restore the database from a backup.")
    }
  }
}

/// What the catalog says of a collection: its definition with the options of the generation that
/// serves, UInt32 last generation number, UInt8 flags (1 rebuild, 2 outcome), rebuild, outcome.
struct CatalogEntry {
  var definition: CollectionDefinition
  var lastNumber: UInt32 = 1
  var state: RebuildState?
  var outcome: RebuildOutcome?

  func encode(to writer: inout ByteWriter) {
    definition.encode(to: &writer)
    writer.write(lastNumber)
    writer.write(UInt8((state == nil ? 0 : 1) | (outcome == nil ? 0 : 2)))
    state?.encode(to: &writer)
    outcome?.encode(to: &writer)
  }

  init(
    definition: CollectionDefinition, lastNumber: UInt32, state: RebuildState?,
    outcome: RebuildOutcome?
  ) {
    self.definition = definition
    self.lastNumber = lastNumber
    self.state = state
    self.outcome = outcome
  }

  /// Version 1 had definitions alone.
  init(from reader: inout ByteReader, version: UInt32) throws {
    definition = try CollectionDefinition(from: &reader)
    guard version > 1 else { return }
    lastNumber = try reader.read("last generation")
    let flags: UInt8 = try reader.read("flags")
    guard flags < 4 else { throw reader.failure("flags") }
    if flags & 1 != 0 { state = try RebuildState(from: &reader) }
    if flags & 2 != 0 { outcome = try RebuildOutcome(from: &reader) }
  }
}

// MARK: Between a collection at work and a manifest

extension CollectionRuntime {
  /// For the writer.
  var catalogEntry: CatalogEntry {
    var definition = definition
    definition.options = options
    let rebuilds = rebuilds.withLock { $0 }
    return CatalogEntry(
      definition: definition, lastNumber: rebuilds.lastNumber, state: rebuilds.state,
      outcome: rebuilds.outcome)
  }

  /// Freezes the generation that serves, and the other one as far as it is. For the writer, between
  /// batches.
  ///
  /// The writer does not wait for a step of a rebuild: meanwhile the other generation stays what it
  /// was in the manifest before, which is behind but as good a start.
  func pinGenerations(previous: CollectionManifest?) -> [PinnedGeneration] {
    let serving = generation
    let pinned = [PinnedGeneration(serving.number, serving.index.beginCheckpoint())]
    let (other, phase) = rebuilds.withLock { ($0.other, $0.state?.phase) }
    guard let other else { return pinned }
    if let snapshot = other.exclusivelyIfFree({ $0.beginCheckpoint() }) {
      return pinned + [PinnedGeneration(other.number, snapshot)]
    }
    // What cannot be read goes on below, as if there were no manifest before.
    let states = previous.flatMap { try? StoredGenerations(decoding: $0.state, at: $0.name) }
    if let state = states?.generations.first(where: { $0.number == other.number })?.state {
      return pinned + [PinnedGeneration(other.number, carrying: state)]
    }
    // A candidate can be built again; the old generation is needed for a rollback.
    guard phase == .grace else { return pinned }
    return pinned + [PinnedGeneration(other.number, other.exclusively { $0.beginCheckpoint() })]
  }

  /// The collection as a manifest has it, its arrays mapped.
  convenience init(
    opening entry: CatalogEntry, _ stored: CollectionManifest, of manifest: Manifest,
    blocks: BlockStore, threads: Int
  ) throws {
    let location = "manifest at LSN \(manifest.lsn)"
    let states = try StoredGenerations(decoding: stored.state, at: location)
    func open(_ number: UInt32, _ state: [UInt8], _ options: IndexOptions) throws -> Generation {
      let index = try IndexGeneration(
        opening: state, options: VecDBIndex.IndexOptions(threads: threads),
        prover: try BlockProver.prover(of: stored, generation: number, blocks)
      ) { name, lengthBytes, base in
        let arrayName = StoredGenerations.arrayName(name, of: number)
        guard let array = stored.array(arrayName), array.lengthBytes == lengthBytes else {
          throw StoreError(
            .corrupt,
            "array '\(arrayName)' of '\(entry.definition.name)' is missing or has another length",
            at: location, remedy: "Restore the database from a backup.")
        }
        try blocks.mapArray(array, at: base)
      }
      guard index.parameters == (try entry.definition.indexParameters(with: options)) else {
        throw StoreError(
          .corrupt, "the index of '\(entry.definition.name)' has other parameters than the catalog",
          at: location, remedy: "Restore the database from a backup.")
      }
      return Generation(number: number, options: options, index: index)
    }
    let first = states.generations[0]
    let serving = try open(first.number, first.state, entry.definition.options)
    var rebuilds = Rebuilds()
    rebuilds.lastNumber = entry.lastNumber
    rebuilds.state = entry.state
    rebuilds.outcome = entry.outcome
    if let (number, options) = rebuilds.otherIdentity {
      if let other = states.generations.dropFirst().first(where: { $0.number == number }) {
        rebuilds.other = try open(number, other.state, options)
      } else if entry.state?.phase == .grace {
        throw StoreError(
          .corrupt, "generation \(number) of '\(entry.definition.name)' is missing",
          at: location, remedy: "Restore the database from a backup.")
      }
    }
    self.init(entry.definition, generation: serving, rebuilds: rebuilds)
  }
}
