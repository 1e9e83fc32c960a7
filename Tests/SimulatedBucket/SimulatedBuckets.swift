import VecDBBlockStore
import VecDBBytes

/// Buckets by addresses `sim://…`, so that whatever takes a repository takes one of these.
package enum SimulatedBuckets {
  private struct Known: Sendable {
    var bucket: SimulatedBucket
    var settings: BucketHandle.Settings
  }

  private static let known = Guarded<[String: Known]>([:])

  /// Has repositories at these addresses.
  package static func enable() {
    BucketKinds.add(scheme: "sim") { address in
      let found = known.withLock { known in
        let found =
          known[address]
          ?? Known(bucket: SimulatedBucket(address), settings: BucketHandle.Settings())
        known[address] = found
        return found
      }
      return BucketHandle(found.bucket, found.settings)
    }
  }

  /// Makes an empty bucket of that name.
  @discardableResult
  package static func make(
    _ name: String, _ settings: BucketHandle.Settings = BucketHandle.Settings()
  ) -> SimulatedBucket {
    let address = "sim://" + name
    let bucket = SimulatedBucket(address)
    known.withLock { $0[address] = Known(bucket: bucket, settings: settings) }
    enable()
    return bucket
  }

  package static func remove(_ name: String) { known.withLock { $0["sim://" + name] = nil } }
}
