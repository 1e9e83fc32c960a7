import VecDBBytes
import VecDBFiles

/// What a collection of garbage did.
package struct GarbageSummary: Sendable, Equatable {
  package var removedManifests = 0
  package var removedPacks = 0
  package var freedBytes = 0
  /// Why nothing was removed, if that was so on purpose.
  package var postponed: String?
}

extension BlockStore {
  /// The one function that decides which published files are removed.
  ///
  /// Kept are the two newest usable manifests, all manifests after the older of them, and all
  /// packs that these or pinned manifests need. Of a block's copies, a manifest needs the newest
  /// that is not newer than itself: so it stays usable also where a later checkpoint is lost.
  /// Nothing is removed while a checkpoint is being written, or while a damaged manifest or pack is
  /// newer than the older of the two: until two checkpoints have superseded it, it is evidence and
  /// perhaps needed for a repair.
  ///
  /// Manifests go first and durably, so that a crash never leaves one without its packs.
  /// Cost O(blocks).
  package func collectGarbage() throws -> GarbageSummary {
    try removal.withLock { _ in try collectGarbageLocked() }
  }

  private func collectGarbageLocked() throws -> GarbageSummary {
    let kept = try usableManifests(limit: 2)
    let (newestDamage, pinned, isBusy) = state.withLock { state in
      (
        max(state.damagedManifests.keys.max() ?? 0, state.damagedPacks.keys.max() ?? 0),
        Array(state.pins.values), state.isWriting || state.poison != nil
      )
    }
    var summary = GarbageSummary()
    if isBusy {
      summary.postponed = "a checkpoint is being written or has failed"
      return summary
    }
    let floor = kept.last?.number ?? 0
    if newestDamage > (kept.count == 2 ? floor : 0) {
      summary.postponed = "a file of checkpoint \(newestDamage) is damaged"
      return summary
    }
    var needed: [(upTo: UInt64, blocks: Set<Digest>)] = kept.map { ($0.number, $0.blocks) }
    for manifest in pinned { needed.append((.max, try blocks(of: manifest))) }
    // The names of those that stay must be durable before others go.
    try removeManifests(below: floor, &summary)
    try removePacks(notNeededBy: needed, &summary)
    return summary
  }

  private func removeManifests(below floor: UInt64, _ summary: inout GarbageSummary) throws {
    let doomed = state.withLock { state in
      Set(state.manifests.keys).union(state.damagedManifests.keys).filter { $0 < floor }.sorted()
    }
    guard !doomed.isEmpty else { return }
    try fileSystem.syncDirectory(manifestsDirectory)
    for number in doomed {
      let path = manifestPath(number)
      if let info = try fileSystem.info(path) {
        try fileSystem.remove(path)
        summary.freedBytes += info.sizeBytes
      }
      summary.removedManifests += 1
      state.withLock { state in
        state.manifests[number] = nil
        state.damagedManifests[number] = nil
      }
    }
    try fileSystem.syncDirectory(manifestsDirectory)
  }

  private func removePacks(
    notNeededBy needed: [(upTo: UInt64, blocks: Set<Digest>)], _ summary: inout GarbageSummary
  ) throws {
    let doomed = state.withLock { state in
      var used = Set<UInt64>()
      for (limit, blocks) in needed {
        used.formUnion(state.packs(holding: blocks, upTo: limit))
      }
      state.lists = state.lists.filter { list in
        needed.contains { $0.blocks.contains(list.key) }
      }
      return Set(state.packs.keys).union(state.damagedPacks.keys).subtracting(used)
        .union(state.orphanPacks).sorted()
    }
    guard !doomed.isEmpty else { return }
    try fileSystem.syncDirectory(packsDirectory)
    state.withLock { $0.remove(packs: Set(doomed)) }
    for number in doomed {
      let path = packsDirectory + "/" + PackFile.fileName(number)
      if let info = try fileSystem.info(path) {
        try fileSystem.remove(path)
        summary.freedBytes += info.sizeBytes
      }
      summary.removedPacks += 1
    }
    try fileSystem.syncDirectory(packsDirectory)
  }

  /// Of each pack: its number, the length of its blocks, and how much of it the newest manifest
  /// needs.
  package func packUsage() throws -> [(number: UInt64, contentBytes: Int, liveBytes: Int)] {
    guard let needed = try usableManifests(limit: 1).first?.blocks else { return [] }
    return state.withLock { state in
      var live: [UInt64: Int] = [:]
      for hash in needed {
        if let location = state.locations[hash] {
          live[location.packNumber, default: 0] += location.lengthBytes
        }
      }
      return state.packs.values.sorted { $0.number < $1.number }.map {
        ($0.number, $0.contentBytes, live[$0.number] ?? 0)
      }
    }
  }

  /// The packs of which the newest manifest needs so little that checkpoints, in time, empty and
  /// remove them.
  package func mostlyDeadPacks(_ policy: CompactionPolicy = CompactionPolicy()) throws -> Set<
    UInt64
  > {
    Set(
      try packUsage().filter {
        $0.liveBytes == 0
          || Double($0.liveBytes) < policy.minimumLiveFraction * Double($0.contentBytes)
      }.map(\.number))
  }

  /// Those of some packs that have not been removed.
  package func stillThere(of packs: Set<UInt64>) -> Set<UInt64> {
    state.withLock { state in packs.filter { state.packs[$0] != nil } }
  }

  /// The mostly dead packs, those with least to rewrite first, up to the policy's limit.
  func packsToEmpty(_ policy: CompactionPolicy) throws -> Set<UInt64> {
    guard policy.minimumLiveFraction > 0, policy.limitBytes > 0 else { return [] }
    var rest = policy.limitBytes
    var result = Set<UInt64>()
    for pack in try packUsage().sorted(by: { ($0.liveBytes, $0.number) < ($1.liveBytes, $1.number) }
    ) {
      guard Double(pack.liveBytes) < policy.minimumLiveFraction * Double(pack.contentBytes),
        pack.liveBytes <= rest
      else { continue }
      result.insert(pack.number)
      rest -= pack.liveBytes
    }
    return result
  }
}

extension BlockStore.State {
  /// The packs that are needed for these blocks: of several copies, the newest in a pack whose
  /// number does not exceed `limit` counts, or else the newest of all.
  func packs(holding blocks: Set<Digest>, upTo limit: UInt64) -> Set<UInt64> {
    var chosen: [Digest: UInt64] = [:]
    for number in packs.keys.sorted() where number <= limit {
      for entry in packs[number]?.entries ?? [] where blocks.contains(entry.hash) {
        chosen[entry.hash] = number
      }
    }
    return Set(blocks.compactMap { chosen[$0] ?? locations[$0]?.packNumber })
  }
}
