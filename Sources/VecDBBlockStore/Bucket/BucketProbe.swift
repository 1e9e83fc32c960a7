import VecDBBytes
import VecDBFiles

/// Proves that a store honours the conditional put. One that takes the header and ignores it would let
/// two writers both believe that an epoch is theirs.
struct BucketProbe {
  static let prefix = "probe."
  private let bucket: any Bucket

  init(_ bucket: any Bucket) { self.bucket = bucket }

  /// With the marker of a repository that is there: puts it again, which must be refused, and would
  /// change nothing. Otherwise puts an object of a random name twice.
  func run(marker: [UInt8]?) throws {
    if let marker {
      guard case .exists = try bucket.create(RepositoryMarker.name, marker) else { throw refusal }
      return
    }
    let name = Self.prefix + String(UInt64.random(in: 0...UInt64.max), radix: 16)
    _ = try bucket.create(name, Array("first".utf8))
    let second = try bucket.create(name, Array("second".utf8))
    // One that stays under a lock does no harm.
    _ = try? bucket.delete(name)
    guard case .exists = second else { throw refusal }
  }

  private var refusal: StoreError {
    StoreError(
      .invalidArgument,
      "the object store ignores If-None-Match: it let a second object take the place of the first",
      at: bucket.location,
      remedy:
        "Use a store that has conditional writes, such as AWS S3, Cloudflare R2, MinIO or Ceph; with "
        + "this one, two copies of a database could overwrite each other's backups.")
  }
}
