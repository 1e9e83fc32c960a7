import VecDBBytes
import VecDBFiles

extension BlockStore {
  /// Compares every manifest and every block that is kept with its hash, beside checkpoints, pins
  /// and the collector: what is removed meanwhile is left out. Returns the damage found.
  ///
  /// `pace` is called after each piece with its bytes; it may wait, or throw to end the scrub.
  package func scrub(pace: (Int) throws -> Void) throws -> [BlockDamage] {
    let (manifests, packs, known) = state.withLock { state in
      (
        state.manifests.sorted { $0.key > $1.key },
        state.packs.values.sorted { $0.number < $1.number },
        state.damagedPacks.values.map { BlockDamage($0) }
          + state.damagedManifests.values.map { BlockDamage($0) }
      )
    }
    var damage = known
    var names: [Digest: BlockDamage] = [:]
    for (number, manifest) in manifests {
      var found = try verifyManifestFile(number, manifest)
      for collection in manifest.collections {
        for array in collection.arrays {
          found += try checkPresence(array, collection: collection.name, names: &names)
        }
      }
      // The collector removes the file first: while it is at work, what it removes is still known.
      if !found.isEmpty,
        removal.withLock({ _ in state.withLock { $0.manifests[number] != nil } })
      {
        damage += found
      }
      try pace(1 << 12)
    }
    for pack in packs {
      var done = VerifyProgress()
      var paced = 0
      let found = try verify(pack, names: names, &done) { now in
        try pace(now.doneBytes - paced)
        paced = now.doneBytes
      }
      if state.withLock({ $0.packs[pack.number] === pack }) { damage += found }
    }
    return damage
  }
}
