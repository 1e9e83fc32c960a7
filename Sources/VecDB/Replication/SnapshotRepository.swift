import BlockStore
import Bytes
import Files

/// A repository that has nothing but the blocks of one snapshot, and cannot be written to.
package protocol SnapshotRepository: Repository {}

extension SnapshotRepository {
  private func refuse() -> StoreError {
    StoreError(.invalidArgument, "a snapshot of another node can only be read", at: location)
  }

  package func hasBlock(_ hash: Digest, lengthBytes: Int) throws -> Bool { throw refuse() }
  package func putBlock(_ hash: Digest, _ bytes: UnsafeRawBufferPointer) throws -> Bool {
    throw refuse()
  }
  package func blocks() throws -> [Digest] { throw refuse() }
  package func deleteBlock(_ stored: Digest) throws { throw refuse() }
  package func synchronize() throws { throw refuse() }
  package func putManifest(_ manifest: Manifest) throws { throw refuse() }
  package func manifests() throws -> [ManifestEntry] { throw refuse() }
  package func getManifest(_ entry: ManifestEntry) throws -> Manifest { throw refuse() }
  package func deleteManifest(_ entry: ManifestEntry) throws { throw refuse() }
  package func putLog(_ piece: LogPiece, _ bytes: [UInt8]) throws { throw refuse() }
  package func replaceLog(_ piece: LogPiece, _ bytes: [UInt8]) throws { throw refuse() }
  package func logPieces() throws -> [LogPiece] { throw refuse() }
  package func getLog(_ piece: LogPiece) throws -> [UInt8] { throw refuse() }
  package func deleteLog(_ piece: LogPiece) throws { throw refuse() }
  package func claimEpoch(_ claim: EpochClaim) throws { throw refuse() }
  package func claimedEpochs() throws -> [EpochClaim] { throw refuse() }
}
