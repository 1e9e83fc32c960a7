import VecDBBytes
import VecDBFiles

/// The database at one LSN: which blocks make it up, and what is needed to trust them. The same
/// bytes serve on the local disk, in a repository and on a connection; nothing in them says
/// where a block is kept.
///
/// Layout, little-endian; strings and byte fields are a u32 length and that many bytes:
///
///     magic "VDBMANI\0", version u32
///     database id u128, epoch counter u64, lsn u64, chain 32 bytes, time i64 (ms since 1970)
///     records LSN u64, epochs bytes, catalog bytes
///     collections: count u32, then each:
///       id u32, name, record count u64, data digest 32, has graph digest u8 [graph digest 32],
///       state bytes, arrays: count u32, then each: name, row stride u64, length u64, list hash 32
///     records: present u8 [one array]
///     annotations: count u32, then each: name, value (ascending by the name's bytes)
///     SHA-256 of all of the above
///
/// Every future version begins with the magic and a version and ends with the SHA-256.
package struct Manifest: Sendable, Hashable {
  package static let magic = Array("VDBMANI\0".utf8)
  package static let version: UInt32 = 1
  package static let collectionLimit = 1 << 16
  package static let arrayLimit = 1 << 12
  package static let annotationLimit = 1 << 12
  /// The longest encoding that is read: 256 MiB.
  package static let sizeLimitBytes = 1 << 28

  package var databaseID: UInt128
  /// The encoded list of epochs; opaque here.
  package var epochs: [UInt8]
  /// The counter of the last of them.
  package var epochCounter: UInt64
  package var lsn: UInt64
  /// The log's chain at `lsn`.
  package var chain: Digest
  /// When the manifest was made, in milliseconds since 1970.
  package var timeMilliseconds: Int64
  /// The collections' definitions; opaque here.
  package var catalog: [UInt8]
  package var collections: [CollectionManifest]
  /// The records file, cut into blocks: in manifests of a repository only.
  package var records: ArrayManifest?
  /// The LSN that the records file holds durably.
  package var recordsLSN: UInt64
  /// Named facts for people and later checks, such as a measured recall.
  package var annotations: [String: String]

  package init(
    databaseID: UInt128, epochs: [UInt8], epochCounter: UInt64, lsn: UInt64, chain: Digest,
    timeMilliseconds: Int64, catalog: [UInt8], collections: [CollectionManifest],
    records: ArrayManifest? = nil, recordsLSN: UInt64, annotations: [String: String] = [:]
  ) {
    self.databaseID = databaseID
    self.epochs = epochs
    self.epochCounter = epochCounter
    self.lsn = lsn
    self.chain = chain
    self.timeMilliseconds = timeMilliseconds
    self.catalog = catalog
    self.collections = collections
    self.records = records
    self.recordsLSN = recordsLSN
    self.annotations = annotations
  }

  /// Every array with the words that errors name it by: those of all collections, then `records`.
  package var namedArrays: [(description: String, array: ArrayManifest)] {
    placedArrays.map { ($0.description, $0.array) }
  }

  /// As `namedArrays`, with the id of the collection; nil for `records`.
  package var placedArrays: [(collection: UInt32?, description: String, array: ArrayManifest)] {
    var all: [(UInt32?, String, ArrayManifest)] = []
    for collection in collections {
      for array in collection.arrays {
        let description = "array '\(array.name)' of collection '\(collection.name)'"
        all.append((collection.id, description, array))
      }
    }
    if let records { all.append((nil, "file '\(records.name)'", records)) }
    return all
  }
}
