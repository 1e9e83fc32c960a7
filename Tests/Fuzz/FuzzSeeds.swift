import Glibc
import VecDBBlockStore
import VecDBBytes
import VecDBLogStore

@testable import VecDB

/// Valid inputs to begin from: mutation alone would hardly get past a magic number.
extension FuzzTarget {
  func seeds() throws -> [[UInt8]] {
    let identity = LogIdentity(
      databaseID: UniqueID(high: 1, low: 2),
      epochs: [
        Epoch(
          counter: 1, id: UniqueID(high: 3, low: 4), parentID: .zero, beganAtLSN: 0,
          beganAtChain: .zero)
      ])
    let definition = CollectionDefinition(
      id: 1, name: "c", dimensions: 2, metric: .cosine, options: IndexOptions(), seed: 7)
    let metadata: Metadata = ["lang": "de", "year": 2020, "tags": ["a", "b"], "x": 0.5]
    let canonical = try metadata.canonicalBytes()
    switch self {
    case .batch:
      let births = (0..<2).map {
        PreparedRecord(key: "key \($0)", vector: [1, 2], metadata: canonical)
      }
      return [
        BatchPayload.encodeCreate(definition), BatchPayload.encodeDrop(collection: 1),
        BatchPayload.encodeMark(name: "m", isSet: true, timeMilliseconds: 5),
        BatchPayload.encodeWrite(
          collection: 1, dimensions: 2, firstSlot: 3, deaths: [0, 1], births: births),
      ]
    case .manifest:
      let state = DatabaseState(threads: 1)
      let manifest = Manifest(
        databaseID: 1, epochs: identity.encoded(), epochCounter: 1, lsn: 5, chain: .zero,
        timeMilliseconds: 9, catalog: state.encodeCatalog(), collections: [], recordsLSN: 4,
        annotations: ["a": "b"])
      return [
        manifest.encode(), identity.encoded(), state.encodeCatalog(),
        try BlockList(hashes: [.zero], lengthBytes: 100).encode(),
      ]
    case .filter:
      return [
        "year >= 2020 and lang in ('de','en')", "not (a = 1 or b != 'x') and c < 0.5",
        "tags contains 'a' and exists(name)", "a between 1 and 2", "name like 'x%'",
      ].map { Array($0.utf8) }
    case .formats:
      let npy =
        Array("\u{93}NUMPY".unicodeScalars.map { UInt8($0.value) }) + [1, 0, 118, 0]
        + Array(
          ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }".utf8
            + Array(repeating: UInt8(ascii: " "), count: 200)).prefix(117)) + [10]
        + [UInt8](repeating: 0, count: 8)
      let line = "{\"key\":\"1\",\"vector\":[1,2],\"metadata\":{\"a\":1}}\n"
      return [
        [0] + [2, 0, 0, 0] + [UInt8](repeating: 0, count: 8), [1] + [2, 0, 0, 0, 1, 2],
        [2] + npy, [3] + Array(line.utf8),
      ]
    case .frames:
      let frame = LogFrame(
        after: .zero, epochCounter: 1, timeMilliseconds: 5, payload: [1, 2, 3])
      return [
        frame.encoded(),
        LogFrameStream.header(identity: identity, start: .zero) + frame.encoded()
          + LogFrameStream.trailer(end: frame.position),
      ]
    case .json:
      let line = "{\"key\":\"17\",\"vector\":[0.5,1e3,-2],\"metadata\":{\"a\":[1,\"b\\u00e4\"]}}"
      return [Array(line.utf8), canonical]
    case .control:
      return [try ControlFrame.encode(ControlRequest(.stats))]
    case .xml:
      return [
        "<?xml version='1.0'?><ListBucketResult xmlns='x'><IsTruncated>false</IsTruncated><Contents>"
          + "<Key>a&amp;b</Key><Size>1</Size><LastModified>2026-12-01T07:56:28.000Z</LastModified>"
          + "</Contents></ListBucketResult>",
        "<Error><Code>A</Code><Message>&#x41;</Message></Error>",
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
          + "<AccessKeyId>a</AccessKeyId><SecretAccessKey>b</SecretAccessKey></Credentials>"
          + "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
      ].map { Array($0.utf8) }
    case .encoding:
      // One for each kind, and choices enough.
      return (0..<8).map { kind in [kind] + (0..<200).map { UInt8(truncatingIfNeeded: $0 * 37) } }
    }
  }

  /// Writes the seeds as files for the fuzzer to begin with.
  func writeSeeds(to directory: String) throws {
    for (number, seed) in try seeds().enumerated() {
      let file = open("\(directory)/seed-\(number)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
      guard file >= 0 else { continue }
      _ = write(file, seed, seed.count)
      _ = close(file)
    }
  }
}
