import Testing
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBSimulatedDisk

/// The bytes of every format, made by a program of another language from the documents' layouts:
/// what was written yesterday must be readable tomorrow.
@Suite struct GoldenFormatTests {
  func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.utf8.filter { $0 != UInt8(ascii: "\n") }
    return stride(from: 0, to: digits.count, by: 2).compactMap {
      UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
    }
  }

  func hash(_ text: String) -> Digest { SHA256.hash(Array(text.utf8)) }

  @Test func blockList() throws {
    let golden = bytes(
      """
      5644424c4953540001000000000010000500100000000000ca978112ca1bbdcafac231b39a23dc4da786eff8
      147c4e72b9807785afee48bb3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d
      """)
    let list = try BlockList(
      hashes: [hash("a"), hash("b")], lengthBytes: blockSizeBytes + 5)
    #expect(list.encode() == golden)
    #expect(try BlockList(decoding: golden, at: "golden") == list)
    #expect(throws: StoreError.self) { try BlockList(hashes: [], lengthBytes: 1) }
  }

  static let manifest: String =
    """
    5644424d414e4900010000008877665544332211efcdab896745230103000000000000002a00000000000000
    9414886b1ebf025db067a4cbd13a0903fbd9733a5372bba1b58bd72c1699b7987b68e5cf8b01000029000000
    00000000030000000102030100000009020000000700000005000000626f6f6b7305000000000000003a6eb0
    790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b701eef93e1d14482804277fca017246
    4032d1a4fdbcc338524059fa1e861454ad4d0500000073746174650100000005000000636f64657340000000
    000000004001000000000000a330395cc0a53ad1207736546afff4735940937564bbf75ce1edad40780d9139
    0800000002000000c3a900000000000000000000000000000000000000000000000000000000000000000000
    000000000000000000000000000000010e0000007265636f7264732e73716c69746501000000000000000010
    000000000000454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1020000000200
    000062790400000068616e6406000000726563616c6c04000000302e3939960d1a9e1e85ce701d5bfb5493d7
    714ed67e41639d943c35f2383178e004d11d
    """

  @Test func manifest() throws {
    let golden = bytes(Self.manifest)
    let manifest = Manifest(
      databaseID: 0x0123_4567_89ab_cdef_1122_3344_5566_7788, epochs: [1, 2, 3], epochCounter: 3,
      lsn: 42, chain: hash("chain"), timeMilliseconds: 1_700_000_000_123, catalog: [9],
      collections: [
        CollectionManifest(
          id: 7, name: "books", state: Array("state".utf8), graphDigest: hash("graph"),
          dataDigest: hash("data"), count: 5,
          arrays: [
            ArrayManifest(
              name: "codes", rowStrideBytes: 64, lengthBytes: 320, list: hash("list"))
          ]),
        CollectionManifest(
          id: 8, name: "é", state: [], graphDigest: nil, dataDigest: .zero, count: 0, arrays: []),
      ],
      records: ArrayManifest(
        name: "records.sqlite", rowStrideBytes: 1, lengthBytes: 4096, list: hash("r")),
      recordsLSN: 41, annotations: ["recall": "0.99", "by": "hand"])
    #expect(manifest.encode() == golden)
    #expect(try Manifest(decoding: golden, at: "golden") == manifest)
  }

  @Test func repositoryMarkerAndEpochClaim() throws {
    let disk = SimulatedDisk()
    let repository = try StoredRepository.create(
      "/r", databaseID: 0x0123_4567_89ab_cdef_1122_3344_5566_7788, fileSystem: disk)
    try repository.claimEpoch(counter: 4, id: 0xfedc_ba98_7654_3210_0011_2233_4455_6677)
    #expect(
      disk.contents("/r/repository")
        == bytes("5644425245504f00010000008877665544332211efcdab896745230142d3dd45"))
    #expect(
      disk.contents("/r/epochs/00000000000000000004")
        == bytes(
          """
          56444245504f430001000000040000000000000077665544332211001032547698badcfe9a7a1f26
          """))
    #expect(try StoredRepository.open("/r", fileSystem: disk).claimedEpochs().count == 1)
  }

  @Test func pack() throws {
    let disk = SimulatedDisk()
    let store = try BlockStore(directory: "/db", fileSystem: disk)
    try store.beginCheckpoint(lsn: 1).abandon()
    let writer = try store.beginCheckpoint(lsn: 9)
    try writer.write(Array("hello".utf8))
    try writer.write([UInt8](repeating: 7, count: 4097))
    _ = try writer.commit(makeManifest(lsn: 9, arrays: []))
    let pack = try #require(disk.contents("/db/packs/00000000000000000002.pack"))
    let header = bytes("5644425041434b000100000000100000020000000000000009000000000000005f2bf132")
    let trailer = bytes(
      """
      2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824001000000000000005000000
      00000000f9ecad1d085b619073e67e6033430a0f92a89328890ccbdf9e7c10c34664ad530020000000000000
      0110000000000000004000000000000002000000000000004f74242e8ee2f80dc84179911f271f5719fe4bfe
      a6c19c38d4595ebf11f5798756444250454e4400
      """)
    #expect(pack.count == 16_536)
    #expect(Array(pack.prefix(header.count)) == header)
    #expect(Array(pack.suffix(trailer.count)) == trailer)
    #expect(
      SHA256.hash(pack).hex
        == "8748ab02f2e3e5484ddb86235146f2fbc1f1dc6a9adf33de37706694c24556eb")
  }
}
